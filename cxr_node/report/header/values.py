"""Normalization of a film's text values to their Value Representation (PS3.5 table 6.2-1).

Modalities send dates of day 00, times with colons and lower-case codes. A value with one plain meaning is written in
the standard's form; any other becomes empty, never a guess.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date

_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2}|60)(\.\d{1,6})?)?)?")
_DATE_TIME = re.compile(r"\d{4}(\d{2}){0,5}(\.\d{1,6})?([+-]\d{4})?")
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_CODE_STRING = re.compile(r"[A-Z0-9 _]{1,16}")
_INTEGER = re.compile(r"[+-]?\d{1,11}")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*")
_OFFSET = re.compile(r"(?!-0000)(-((0\d|1[01])[0-5]\d|1200)|\+((0\d|1[0-3])[0-5]\d|1400))")
"""&ZZXX from -1200 to +1400; -0000 shall not be used (PS3.3 section C.12.1.1.8, PS3.5 table 6.2-1)."""
_LINE_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_PARAGRAPH_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def da(text: str) -> str:
    """Return a date as YYYYMMDD; the ACR-NEMA form (YYYY.MM.DD) is accepted."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return ""
    year, month, day = (int(part) for part in match.groups())
    try:
        date(year, month, day)
    except ValueError:
        return ""
    return "".join(match.groups())


def tm(text: str) -> str:
    """Return a time as HHMMSS.FFFFFF or its beginning; the ACR-NEMA form (HH:MM:SS) is accepted."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return ""
    hour, minute, second, fraction = match.groups(default="")
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        return ""
    return hour + minute + second + fraction


def cs(text: str) -> str:
    """Return a code string in upper case."""
    code = text.strip().upper()
    return code if _CODE_STRING.fullmatch(code) else ""


def age(text: str) -> str:
    """Return an age as three digits and D, W, M or Y."""
    match = _AGE.fullmatch(text.strip().upper())
    return "" if match is None else match[1].zfill(3) + match[2]


def _matching(pattern: re.Pattern[str], longest: int) -> Callable[[str], str]:
    def clean(text: str) -> str:
        value = text.strip()
        return value if len(value) <= longest and pattern.fullmatch(value) else ""

    return clean


def _line(longest: int) -> Callable[[str], str]:
    return lambda text: _LINE_CONTROLS.sub("", text)[:longest]


def _paragraphs(longest: int) -> Callable[[str], str]:
    return lambda text: _PARAGRAPH_CONTROLS.sub("", text)[:longest]


def identifier(text: str) -> str:
    """Return an identifier of a patient or an order without control characters, otherwise unchanged.

    Over-long values stay whole: a shortened Patient ID is another patient's.
    """
    return _LINE_CONTROLS.sub("", text).rstrip(" ")


CLEANERS: Mapping[str, Callable[[str], str]] = {
    "AE": _line(16),
    "AS": age,
    "CS": cs,
    "DA": da,
    "DS": _matching(_DECIMAL, 16),
    "DT": _matching(_DATE_TIME, 26),
    "IS": _matching(_INTEGER, 12),
    "LO": _line(64),
    "LT": _paragraphs(10240),
    "PN": identifier,
    "SH": _line(16),
    "ST": _paragraphs(1024),
    "TM": tm,
    "UC": _line(1024),
    "UI": _matching(_UID, 64),
    "UT": _paragraphs(65536),
}
"""Value Representation to the function that normalizes one value; VRs that are not text are not here."""

utc_offset = _matching(_OFFSET, 5)
"""Timezone Offset From UTC (0008,0201): a value of another form would shift every time of the report."""
