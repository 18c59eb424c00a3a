"""Clock: the present time, as an argument of everything that needs it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def local_time(at: datetime | None) -> str:
    """Return a time in the time zone of this host, with its offset, such as 2026-01-31 13:00:00 +0100; "" for None."""
    return "" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S %z}"
