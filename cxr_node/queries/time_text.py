"""Times as people write them: a date, a date with a time, `today`, or how long ago, such as 24h or 7d."""

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TODAY = "today"


class InvalidTime(ValueError):
    """The text is no time; the sentence says what is expected."""


def parse_time(text: str, *, now: datetime) -> datetime | None:
    """Return the time that a text names, in UTC; None for an empty one.

    An absolute time is local to this host unless it has an offset; `today` is the last local midnight.

    Raises
    ------
    InvalidTime
        If the text is neither.
    """
    if not text:
        return None
    try:
        if text == _TODAY:
            return now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
        ago = _AGO.fullmatch(text)
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        expected = "2026-01-31, 2026-01-31T12:00, today, 24h or 7d"
        raise InvalidTime(f"{text!r} is not a time; expected {expected}") from None
