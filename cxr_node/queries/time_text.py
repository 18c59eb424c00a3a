"""Times as people write them: a date, a date with a time, `today`, `yesterday`, or how long ago, such as 24h or 7d."""

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAYS_AGO = {"today": 0, "yesterday": 1}
"""Begin of a day, in the time zone of this host."""


class InvalidTime(ValueError):
    """The text is no time; the sentence says what is expected."""


def parse_time(text: str, *, now: datetime) -> datetime | None:
    """Return the time that a text names, in UTC; None for an empty one.

    An absolute time is local to this host unless it has an offset; `today` is the last local midnight,
    `yesterday` the one before.

    Raises
    ------
    InvalidTime
        If the text is neither.
    """
    if not text:
        return None
    try:
        if text in _DAYS_AGO:
            midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
            # Subtracted from the local date: a day on which the clock changes has 23 or 25 hours.
            return (midnight - timedelta(days=_DAYS_AGO[text])).astimezone(UTC)
        ago = _AGO.fullmatch(text)
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        expected = "2026-01-31, 2026-01-31T12:00, today, yesterday, 24h or 7d"
        raise InvalidTime(f"{text!r} is not a time; expected {expected}") from None
