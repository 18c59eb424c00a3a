"""Tests of whether two samples differ, and what is left of them when there are many."""

import math
from collections.abc import Sequence

from cxr_node.domain.daily_stats import Histogram

_TERMS = 100
_ENOUGH = 1e-12


def kolmogorov_smirnov(one: Histogram, other: Histogram) -> tuple[float, float]:
    """Return the greatest difference of two cumulative shares, 0 to 1, and its p-value (two-sided).

    The p-value is Kolmogorov's limit with Stephens' correction for small samples (Stephens 1970). Numbers that share a
    bin are ties, which make it larger than it would be: it errs on the side of no difference.

    Raises
    ------
    ValueError
        If one of the samples is empty.
    """
    first, second = sum(one.values()), sum(other.values())
    if not first or not second:
        raise ValueError("nothing to compare")
    difference, share, share_other = 0.0, 0, 0
    for number in sorted({*one, *other}):
        share += one.get(number, 0)
        share_other += other.get(number, 0)
        difference = max(difference, abs(share / first - share_other / second))
    root = math.sqrt(first * second / (first + second))
    return difference, _kolmogorov((root + 0.12 + 0.11 / root) * difference)


def _kolmogorov(value: float) -> float:
    """Return the probability of Kolmogorov's distribution beyond `value`."""
    if value < 0.2:  # the series converges slowly there, and the probability is 1 to twelve digits
        return 1.0
    total = 0.0
    for k in range(1, _TERMS):
        term = math.exp(-2.0 * k * k * value * value)
        total += term if k % 2 else -term
        if term < _ENOUGH:
            break
    return min(1.0, max(0.0, 2.0 * total))


def fisher(hits: int, films: int, hits_other: int, films_other: int) -> float:
    """Return the p-value of Fisher's exact test of two rates (two-sided: tables no likelier than the one seen)."""
    total, chosen = hits + hits_other, films + films_other
    lowest, highest = max(0, total - films_other), min(total, films)
    seen = _log_probability(hits, films, total, chosen)
    likely = [_log_probability(k, films, total, chosen) for k in range(lowest, highest + 1)]
    return min(1.0, sum(math.exp(each) for each in likely if each <= seen + 1e-7))


def _log_probability(k: int, films: int, total: int, chosen: int) -> float:
    return _log_choose(total, k) + _log_choose(chosen - total, films - k) - _log_choose(chosen, films)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, in order (Holm 1979): the chance of one false alarm or more is kept.

    Nothing is assumed of how the tests hang together.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
