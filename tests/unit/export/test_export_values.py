"""Values of an export: numbers, words, ages, dates and codes that may leave."""

from datetime import timedelta

import pytest

from cxr_node.export import values
from cxr_node.export.attributes import action_table

A_DAY = timedelta(days=-1)


@pytest.mark.parametrize(
    ("text", "vr", "expected"),
    [
        ("1.5", "DS", "1.5"),
        ("0,143", "DS", "0.143"),
        ("0.12345678901234567", "DS", "0.123456789"),
        ("7 of Miller", "DS", None),
        ("nan", "DS", None),
        ("12", "IS", "12"),
        ("12.5", "IS", None),
        ("471147112", "IS", None),
        ("0000000000047114", "DS", "47114"),
        ("0.25", "DS", "0.25"),
    ],
)
def test_numbers(text: str, vr: str, expected: str | None) -> None:
    assert values.number(text, vr) == expected


def test_a_number_of_many_digits_is_no_series_number() -> None:
    assert values.number("10000", "IS", largest=9999) is None


@pytest.mark.parametrize(
    ("text", "vr", "expected"),
    [
        ("Thorax Dr. Rao", "LO", "Thorax"),
        ("Thorax p.a. Miller, Hans *1961", "LO", "Thorax"),
        ("antero-posterior", "LO", "antero-posterior"),
        ("chest-miller", "LO", ""),
        ("Müller", "LO", ""),
        ("chest " * 20, "LO", "chest chest chest chest chest chest chest chest chest chest"),
    ],
)
def test_known_words(text: str, vr: str, expected: str) -> None:
    assert values.known_words(text, vr, action_table()) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("063Y", "063Y"), ("63Y", "063Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("63", None)]
)
def test_ages(text: str, expected: str | None) -> None:
    assert values.age(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20240301", "20240229"), ("2024.03.01", "20240229"), ("20241301", None), ("00010101", None), ("Miller", None)],
)
def test_dates(text: str, expected: str | None) -> None:
    assert values.moved_date(text, A_DAY) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20240301", "20240229"),
        ("20240301101500.25+0100", "20240229101500.25"),
        ("20240301Miller", None),
        ("2024", None),
    ],
)
def test_dates_with_times(text: str, expected: str | None) -> None:
    assert values.moved_date_time(text, A_DAY) == expected


@pytest.mark.parametrize(("text", "expected"), [("101500.5", "101500.5"), ("10:15", "1015"), ("2500", None)])
def test_times(text: str, expected: str | None) -> None:
    assert values.time(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("399348003", True), ("R-10206", True), ("T-D3000", True), ("36554-4", True), ("MILLER", False), ("A B 1", False)],
)
def test_code_values(text: str, expected: bool) -> None:
    assert (values.code_value(text) == text) is expected


@pytest.mark.parametrize(
    ("image_type", "expected"),
    [
        (["ORIGINAL", "PRIMARY", "", "MILLER"], ["ORIGINAL", "PRIMARY", ""]),
        (["DERIVED", "SECONDARY"], ["DERIVED", "SECONDARY"]),
        (["MILLER"], ["ORIGINAL", "PRIMARY"]),
    ],
)
def test_image_type(image_type: list[str], expected: list[str]) -> None:
    assert values.image_type(image_type) == expected
