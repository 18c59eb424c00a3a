"""Logins at the page: wrong passwords by address, and sessions that a logout ends."""

from dataclasses import replace

import pytest

from cxr_node.domain import password_hash
from cxr_node.domain.clock import utc_now
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.domain.permissions import PageRole, Permissions
from cxr_node.records.web_users import WebUser
from cxr_node.settings.operations import PageUserSection, WebSection
from cxr_node.web.access import Authenticator, TooManyAttempts
from tests.support.accounts import MemoryAccounts

PASSWORD = "correct horse"  # noqa: S105  # of nobody
_HASH = str(PasswordHash.from_password(PASSWORD, salt=bytes(16), cost=16))
SECTION = WebSection(users=(PageUserSection(name="kim", password_hash=_HASH),))
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.66"


def outcomes(authenticator: Authenticator, name: str, *, times: int) -> list[str]:
    """Return what becomes of so many wrong passwords from elsewhere."""
    answers = []
    for _ in range(times):
        try:
            answers.append("right" if authenticator.log_in(name, "guess", address=ELSEWHERE) else "wrong")
        except TooManyAttempts:
            answers.append("too many")
    return answers


def test_a_known_name_is_answered_as_an_unknown_one() -> None:
    assert (
        outcomes(Authenticator(SECTION, b"key", accounts=MemoryAccounts()), "kim", times=7)
        == ["wrong"] * 5 + ["too many"] * 2
    )
    assert (
        outcomes(Authenticator(SECTION, b"key", accounts=MemoryAccounts()), "nobody", times=7)
        == ["wrong"] * 5 + ["too many"] * 2
    )


def test_no_one_locks_out_a_user_from_another_address() -> None:
    now = 0.0
    authenticator = Authenticator(SECTION, b"key", accounts=MemoryAccounts(), clock=lambda: now)
    outcomes(authenticator, "kim", times=50)

    assert authenticator.log_in("kim", PASSWORD, address=HERE) is not None
    with pytest.raises(TooManyAttempts):
        authenticator.log_in("kim", PASSWORD, address=ELSEWHERE)
    now = 61.0
    assert authenticator.log_in("kim", PASSWORD, address=ELSEWHERE) is not None


def test_an_address_guesses_twenty_passwords_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_hash, "_COST", 16)
    authenticator = Authenticator(SECTION, b"key", accounts=MemoryAccounts())
    answers = [outcomes(authenticator, f"name{number}", times=1)[0] for number in range(25)]

    assert answers == ["wrong"] * 20 + ["too many"] * 5


def test_a_logout_ends_every_copy_of_the_session() -> None:
    accounts = MemoryAccounts()
    first, restarted = (Authenticator(SECTION, b"key", accounts=accounts) for _ in range(2))
    cookie, other = (first.log_in("kim", PASSWORD, address=HERE) for _ in range(2))
    person = first.person(cookie)
    assert person is not None
    first.log_out(person)

    for authenticator in (first, restarted):
        assert authenticator.person(cookie) is None
        assert authenticator.person(other) is not None


def test_a_cookie_without_a_session_in_the_database_is_of_no_use() -> None:
    cookie = Authenticator(SECTION, b"key", accounts=MemoryAccounts()).log_in("kim", PASSWORD, address=HERE)

    assert Authenticator(SECTION, b"key", accounts=MemoryAccounts()).person(cookie) is None


def test_a_stored_user_logs_in_until_locked_or_changed() -> None:
    lee = WebUser(name="lee", password_hash=_HASH, permissions=Permissions(sees_films=True))
    accounts = MemoryAccounts(users={"lee": lee})
    authenticator = Authenticator(SECTION, b"key", accounts=accounts)
    cookie = authenticator.log_in("lee", PASSWORD, address=HERE)
    person = authenticator.person(cookie)
    assert person is not None
    assert (person.is_operator, person.sees_films) == (False, True)

    for changed in (
        replace(lee, locked_at=utc_now()),
        replace(lee, permissions=Permissions(role=PageRole.OPERATOR)),
        replace(lee, password_hash=str(PasswordHash.from_password("another", salt=bytes(16), cost=16))),
    ):
        accounts.users["lee"] = changed
        assert authenticator.person(cookie) is None
        assert authenticator.log_in("lee", PASSWORD, address=HERE) is None or changed.locked_at is None


def test_a_user_of_the_settings_counts_before_a_stored_one_of_the_name() -> None:
    other_hash = str(PasswordHash.from_password("another", salt=bytes(16), cost=16))
    stored = WebUser(name="kim", password_hash=other_hash, permissions=Permissions(role=PageRole.OPERATOR))
    authenticator = Authenticator(SECTION, b"key", accounts=MemoryAccounts(users={"kim": stored}))

    assert authenticator.log_in("kim", "another", address=HERE) is None
    person = authenticator.person(authenticator.log_in("kim", PASSWORD, address=HERE))
    assert person is not None
    assert not person.is_operator


def test_whether_anyone_can_log_in_counts_stored_users() -> None:
    stored = WebUser(name="lee", password_hash=_HASH, permissions=Permissions())

    assert not Authenticator(WebSection(), b"key", accounts=MemoryAccounts()).has_users()
    assert Authenticator(WebSection(), b"key", accounts=MemoryAccounts(users={"lee": stored})).has_users()
    assert Authenticator(SECTION, b"key", accounts=MemoryAccounts()).has_users()
