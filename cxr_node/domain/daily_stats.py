"""Days as they are watched: what is counted of each, in which bins, and what it comes to beside its reference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

Histogram = Mapping[int, int]
"""How many numbers lie in each bin; bins without any are left out."""

SCORE_BINS = 200
"""Bins of scores, 0 to 1, each 0.005 wide: what moves within one is not seen."""
_PER_DECADE = 20
_SHORTEST_S = 0.01


def score_bin(score: float) -> int:
    """Return the bin of a score; 1.0 lies in the last one."""
    return min(SCORE_BINS - 1, max(0, math.floor(score * SCORE_BINS)))


def seconds_bin(seconds: float) -> int:
    """Return the bin of a duration: twenty to a power of ten, as durations differ by factors."""
    return math.floor(_PER_DECADE * math.log10(max(_SHORTEST_S, seconds) / _SHORTEST_S) + 1e-9)


def seconds_of(number: int) -> float:
    """Return the middle of a bin of durations, in seconds."""
    return float(_SHORTEST_S * 10.0 ** ((number + 0.5) / _PER_DECADE))


class Statistic(StrEnum):
    """What is compared: scores of a finding, how often it is present, films not analysed, seconds to the report."""

    SCORE = "score"
    POSITIVE = "positive"
    REJECTED = "rejected"
    TURNAROUND = "turnaround"


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyStatistic:
    """One figure of one device's films of one day.

    `hits` are films on which the finding is present, or that were not analysed; `total` is the sum of the scores or
    seconds. A day of `Kind.SCORE` carries the rate of `Kind.POSITIVE` too, which has no days of its own.
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
    """Days, both included."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        """Whether a day is one of them."""
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftResult:
    """A figure held against its reference on a day.

    `value` and `reference_value` are mean scores, rates or median seconds. `effect` is the greatest difference of the
    cumulative shares, 0 to 1, or the difference of the rates.
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
