"""Formatting of times for people, on the terminal and on pages."""

from datetime import datetime

_UNITS_S = (("d", 86400.0), ("h", 3600.0), ("min", 60.0))


def age(at: datetime | None, now: datetime) -> str:
    """Return how long ago a time is, such as 3 h; in the largest unit of which there are two; empty for None."""
    if at is None:
        return ""
    seconds = max(0.0, (now - at).total_seconds())
    for unit, length_s in _UNITS_S:
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"
