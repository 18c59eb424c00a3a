"""Counts in bins, added up and read."""

from collections.abc import Iterable

from cxr_node.domain.daily_stats import Histogram


def together(several: Iterable[Histogram]) -> dict[int, int]:
    """Return the sum of several counts."""
    found: dict[int, int] = {}
    for counts in several:
        for number, many in counts.items():
            found[number] = found.get(number, 0) + many
    return found


def middle(counts: Histogram) -> int | None:
    """Return the bin in which the median lies; None of nothing."""
    half = (sum(counts.values()) + 1) // 2
    passed = 0
    for number in sorted(counts):
        passed += counts[number]
        if passed >= half:
            return number
    return None
