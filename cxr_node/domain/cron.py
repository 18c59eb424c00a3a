"""Cron expressions of five fields, as the scheduler of the periodic jobs takes them (APScheduler's `from_crontab`)."""

import re

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([0-9]+))?")


def is_cron(text: str) -> bool:
    """Whether a text is a cron expression: minute, hour, day, month and weekday, each within its range."""
    fields = text.split()
    return len(fields) == len(_RANGES) and all(
        _is_field(field, *limits) for field, limits in zip(fields, _RANGES, strict=True)
    )


_RANGES: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 6, _WEEKDAYS),
)
"""Least and greatest number of each field, and names of its numbers from the least on."""


def _is_field(field: str, least: int, greatest: int, names: tuple[str, ...]) -> bool:
    numbers = {name: number for number, name in enumerate(names, start=least)}
    numbers |= {str(number): number for number in range(least, greatest + 1)}
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None or (match[3] is not None and not 0 < int(match[3]) <= greatest - least):
            return False
        first, last = match[1], match[2]
        if (first is not None and first not in numbers) or (last is not None and last not in numbers):
            return False
        if first is not None and last is not None and numbers[first] > numbers[last]:
            return False
        if match[3] is not None and first is not None and last is None:
            return False
    return True
