"""Values that may leave: text that matches a pattern or a list of words, numbers, moved dates. Pure.

A value is read from its bytes as they were received, never by a conversion that could raise or keep what is beyond it.
"""

import re
from collections.abc import Sequence
from datetime import date, timedelta

from cxr_node.export.attributes import ActionTable

OLDEST_YEARS = 90
"""Ages of so many years and more are one value: there are few people of such an age."""
DUMMIES = {"DA": "19000101", "TM": "000000", "DT": "19000101000000"}

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_LEADING_ZERO = re.compile(r"[+-]?0\d")
_DS_CHARACTERS = 16
_LARGEST_NUMBER = 10**7
"""No value of an exposure, a geometry or a gray scale is larger; the numbers of persons are."""
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"([01]\d|2[0-3])(?::?([0-5]\d)(?::?([0-5]\d|60)(\.\d{1,6})?)?)?")
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_WORDS = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)*")
_CODE_VALUE = re.compile(r"(?=.*\d)[A-Z]{0,2}-?[0-9A-F]{1,18}(-[0-9])?")
_PRINTABLE = re.compile(r"[ -\[\]-~]+")
_CHARACTERS = {"CS": 16, "SH": 16, "LO": 64, "ST": 1024, "LT": 10240, "UT": 10240}


def number(text: str, vr: str, *, largest: int | None = None) -> str | None:
    """Return a number as text of VR DS or IS; None if it is none, or too large."""
    text = text.replace(",", ".") if text.count(",") == 1 else text
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if abs(value) > (_LARGEST_NUMBER if largest is None else largest):
        return None
    if vr == "IS":
        return str(int(value)) if value == int(value) else None
    is_plain = len(text) <= _DS_CHARACTERS and not _LEADING_ZERO.match(text)
    return text if is_plain else f"{value:.9g}"


def known_words(text: str, vr: str, table: ActionTable) -> str:
    """Return the known words of a description, separated by blanks; of CS in capitals."""
    words = [word for word in _WORDS.findall(text) if _is_known(word.lower(), table)]
    cleaned = " ".join(words).upper() if vr == "CS" else " ".join(words)
    while len(cleaned) > _CHARACTERS.get(vr, 64):
        cleaned = cleaned.rpartition(" ")[0]
    return cleaned


def _is_known(word: str, table: ActionTable) -> bool:
    return word in table.words or all(part in table.words for part in word.split("-"))


def printable(text: str, vr: str) -> str:
    """Return the ASCII part of a device's text, without backslash and control characters."""
    return " ".join(_PRINTABLE.findall(text))[: _CHARACTERS.get(vr, 64)].strip()


def image_type(values: Sequence[str]) -> list[str]:
    """Return the standard's values of Image Type (0008,0008): further ones are of the vendor or the site."""
    first = "DERIVED" if values[:1] == ["DERIVED"] else "ORIGINAL"
    second = "SECONDARY" if list(values[1:2]) == ["SECONDARY"] else "PRIMARY"
    return [first, second, *([""] if len(values) > 2 else [])]


def age(text: str) -> str | None:
    """Return an age (VR AS); of old people the least of the oldest; None if it is none."""
    matched = _AGE.fullmatch(text)
    if matched is None:
        return None
    if matched[2] == "Y" and int(matched[1]) >= OLDEST_YEARS:
        return f"{OLDEST_YEARS:03}Y"
    return f"{int(matched[1]):03}{matched[2]}"


def moved_date(text: str, shift: timedelta) -> str | None:
    """Return a date (VR DA) after a shift; None if it is none."""
    matched = _DATE.fullmatch(text)
    try:
        return (date(*map(int, matched.groups())) + shift).strftime("%Y%m%d") if matched else None
    except (ValueError, OverflowError):
        return None


def time(text: str) -> str | None:
    """Return a time of day (VR TM); None if it is none."""
    matched = _TIME.fullmatch(text)
    return "".join(part or "" for part in matched.groups()) if matched else None


def moved_date_time(text: str, shift: timedelta) -> str | None:
    """Return date and time (VR DT) after a shift, without the offset from UTC; None if it is none."""
    text = re.sub(r"[+-]\d{4}$", "", text)
    day, clock = moved_date(text[:8], shift), time(text[8:]) if text[8:] else ""
    return None if day is None or clock is None else day + clock


def code_value(text: str) -> str | None:
    """Return a Code Value (0008,0100) of the form of SNOMED, DICOM or LOINC codes; None of any other."""
    return text if _CODE_VALUE.fullmatch(text) else None
