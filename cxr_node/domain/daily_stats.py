"""Daily statistics and drift results as values, and the bins of their histograms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

Histogram = Mapping[int, int]
"""Count of values by bin number; empty bins are left out."""

SCORE_BINS = 200
"""Bins of scores, 0 to 1, each 0.005 wide: smaller changes are not detected."""
_BINS_PER_DECADE = 20
_SHORTEST_S = 0.01


def score_bin(score: float) -> int:
    """Return the bin of a score; the last bin includes 1.0."""
    return min(SCORE_BINS - 1, max(0, math.floor(score * SCORE_BINS)))


def seconds_bin(seconds: float) -> int:
    """Return the bin of a duration; 20 logarithmic bins a decade."""
    return math.floor(_BINS_PER_DECADE * math.log10(max(_SHORTEST_S, seconds) / _SHORTEST_S) + 1e-9)


def seconds_of(number: int) -> float:
    """Return the geometric middle of a bin of durations, in seconds."""
    return float(_SHORTEST_S * 10.0 ** ((number + 0.5) / _BINS_PER_DECADE))


class Statistic(StrEnum):
    """Scores of a finding, rate of its presence, rate of films not analysed, seconds from reception to delivery."""

    SCORE = "score"
    POSITIVE = "positive"
    REJECTED = "rejected"
    TURNAROUND = "turnaround"


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyStatistic:
    """One statistic of the films of one device and day.

    `hits` are films with the finding present, or films not analysed; `total` is the sum of the scores or seconds.
    `Statistic.SCORE` includes the hits of `Statistic.POSITIVE`, which is not stored separately.
    """

    day: date
    device: str
    kind: Statistic
    key: str
    films: int
    hits: int
    total: float
    histogram: Histogram = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DateRange:
    """A range of days; both ends are included."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        """Whether a day lies in the range."""
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftResult:
    """Comparison of a statistic on a day with its reference.

    `value` and `reference_value` are mean scores, rates or median seconds. `effect`, 0 to 1, is the
    Kolmogorov-Smirnov distance or the difference of the rates.
    """

    day: date
    device: str
    kind: Statistic
    key: str
    reference: DateRange
    window: DateRange
    reference_films: int
    films: int
    reference_value: float
    value: float
    effect: float
    p_value: float
    adjusted_p: float = 1.0
    is_drift: bool = False
