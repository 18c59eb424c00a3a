"""Formatting of times and findings for people, on the terminal and on pages.

What findings need is imported when one is formatted: most commands show none.
"""

from datetime import UTC, datetime
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters at which spreadsheet programs take a text for a formula."""
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


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as 1 study or 2 studies."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun.removesuffix('y')}ies" if noun.endswith("y") else f"{number} {noun}s"


def statistic_words(kind: str, value: float | None) -> str:
    """Return a value of drift or constancy: scores and their tolerances 0 to 100, others as they are."""
    return "" if value is None else f"{value * (100.0 if kind == 'score' else 1.0):.4g}"


def finding_words(meaning: str, laterality: str | None, presence: str) -> str:
    """Return a finding in words: its name, its side, and whether it is undetermined."""
    from cxr_node.domain.reading import Presence

    side = f", {laterality}" if laterality else ""
    doubt = " undetermined" if presence == Presence.UNDETERMINED else ""
    return f"{meaning.lower()}{side}{doubt}"


def score_words(key: str, score: float, operating_point: float) -> str:
    """Return a score beside its threshold, with the digits of the results: 0 to 100, or ratios."""
    from cxr_node.domain.stated_numbers import stated

    number = stated(key, score, operating_point)
    return f"{number.score:.{number.score_digits}f} / {number.threshold:.{number.threshold_digits}f}"


def without_formula(value: Any) -> Any:
    """Return a value for a cell of a CSV file: a text that a spreadsheet would compute begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def csv_value(value: Any) -> Any:
    """Return a value as a cell of a CSV file."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return plain_value(value)
        case _:
            return without_formula(value)


def plain_value(value: Any) -> Any:
    """Return a value for JSON: times as ISO 8601 in UTC."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
