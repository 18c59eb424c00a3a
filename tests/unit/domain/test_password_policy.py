"""Rules for new passwords, and permissions that include others."""

import pytest

from cxr_node.domain.password_policy import password_fault
from cxr_node.domain.permissions import PageRole, Permissions


def fault(password: str, *, minimum: int = 15) -> str:
    return password_fault(password, user_name="kim.lee", minimum_characters=minimum)


@pytest.mark.parametrize(
    "password",
    ["correct horse battery", "äöü schöne Grüße!", "nur-kleine-buchstaben", "一二三四五六七八九十甲乙丙丁戊"],
)
def test_a_long_password_needs_no_rules_of_composition(password: str) -> None:
    assert fault(password) == ""


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short password", "14 characters; at least 15"),
        ("x" * 1025, "more than 1024"),
        ("aaaaaaaabbbbbbbb", "repeats few characters"),
        ("abcdefghijklmnop", "counts them up"),
        ("9876543210987654", "counts them up"),
        ("kim.lee-kim.lee1", "the user name"),
    ],
)
def test_a_short_or_guessable_password_is_refused(password: str, words: str) -> None:
    assert words in fault(password)


def test_the_minimum_length_is_that_of_the_settings() -> None:
    assert fault("correct horse", minimum=12) == ""
    assert "at least 14" in fault("correct horse", minimum=14)


def test_permissions_include_those_that_add_nothing() -> None:
    viewer, seer = Permissions(), Permissions(sees_films=True)
    operator = Permissions(role=PageRole.OPERATOR)

    assert operator.includes(viewer)
    assert operator.includes(operator)
    assert not viewer.includes(operator)
    assert not operator.includes(seer)
    assert seer.includes(viewer)
