"""Statistics of drift detection: two-sample KS test, Fisher's exact test, Holm correction, sums of histograms."""

import math
from collections.abc import Iterable, Sequence

from cxr_node.domain.daily_stats import Histogram

_TERMS = 100
_CONVERGED = 1e-12


def ks_two_sample(sample: Histogram, other: Histogram) -> tuple[float, float]:
    """Return the two-sample Kolmogorov-Smirnov statistic, 0 to 1, and its two-sided p-value.

    The p-value is Kolmogorov's limit with Stephens' correction for small samples (Stephens 1970). Values in one bin are
    ties, which raise the p-value: the test errs towards no difference.

    Raises
    ------
    ValueError
        If one of the samples is empty.
    """
    size, size_other = sum(sample.values()), sum(other.values())
    if not size or not size_other:
        raise ValueError("nothing to compare")
    statistic, cumulative, cumulative_other = 0.0, 0, 0
    for number in sorted({*sample, *other}):
        cumulative += sample.get(number, 0)
        cumulative_other += other.get(number, 0)
        statistic = max(statistic, abs(cumulative / size - cumulative_other / size_other))
    root = math.sqrt(size * size_other / (size + size_other))
    return statistic, _kolmogorov_tail((root + 0.12 + 0.11 / root) * statistic)


def _kolmogorov_tail(value: float) -> float:
    """Return the probability of Kolmogorov's distribution beyond `value`."""
    if value < 0.2:  # the series converges slowly there, and the probability is 1 to twelve digits
        return 1.0
    total = 0.0
    for k in range(1, _TERMS):
        term = math.exp(-2.0 * k * k * value * value)
        total += term if k % 2 else -term
        if term < _CONVERGED:
            break
    return min(1.0, max(0.0, 2.0 * total))


def fisher_exact(hits: int, films: int, hits_other: int, films_other: int) -> float:
    """Return the two-sided p-value of Fisher's exact test: tables no likelier than the observed one."""
    total_hits, total_films = hits + hits_other, films + films_other
    lowest, highest = max(0, total_hits - films_other), min(total_hits, films)
    observed = _log_probability(hits, films, total_hits, total_films)
    tables = [_log_probability(k, films, total_hits, total_films) for k in range(lowest, highest + 1)]
    return min(1.0, sum(math.exp(table) for table in tables if table <= observed + 1e-7))


def _log_probability(k: int, films: int, total_hits: int, total_films: int) -> float:
    return (
        _log_choose(total_hits, k) + _log_choose(total_films - total_hits, films - k) - _log_choose(total_films, films)
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def holm_correction(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's step-down method (Holm 1979), in order.

    It controls the family-wise error rate and assumes nothing about the dependence of the tests.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def sum_histograms(histograms: Iterable[Histogram]) -> dict[int, int]:
    """Return the sum of histograms bin by bin."""
    total: dict[int, int] = {}
    for histogram in histograms:
        for number, count in histogram.items():
            total[number] = total.get(number, 0) + count
    return total


def median_bin(histogram: Histogram) -> int | None:
    """Return the bin of the median, None of an empty histogram."""
    half = (sum(histogram.values()) + 1) // 2
    cumulative = 0
    for number in sorted(histogram):
        cumulative += histogram[number]
        if cumulative >= half:
            return number
    return None
