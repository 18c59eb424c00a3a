"""Agreement of two models on the same films: kappa, specific agreement, limits of agreement of the scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

_Z = 1.959964
"""Standard normal deviate of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePair:
    """A film's scores by both models, with the operating point of each."""

    first: float
    first_operating_point: float
    second: float
    second_operating_point: float

    @property
    def calls(self) -> tuple[bool, bool]:
        """Whether each model calls the finding present."""
        return self.first >= self.first_operating_point, self.second >= self.second_operating_point


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement of two models on a finding; a statistic that is undefined is None.

    `shift` is the mean of second less first. `limits` are the 95 % limits of agreement (Bland and Altman 1986), which
    suppose normal differences; `quantiles` are the 5th, 50th and 95th percentile of the differences.
    """

    films: int
    both: int
    first_only: int
    second_only: int
    neither: int
    kappa: Interval | None
    positive: Interval | None
    negative: Interval | None
    shift: float
    limits: tuple[float, float] | None
    quantiles: tuple[float, float, float]


def agreement(pairs: Sequence[ScorePair]) -> Agreement:
    """Return the agreement of two models on films, each counted once.

    Raises
    ------
    ValueError
        If there are no films.
    """
    if not pairs:
        raise ValueError("no films to compare")
    calls = [pair.calls for pair in pairs]
    both, first_only = calls.count((True, True)), calls.count((True, False))
    second_only, neither = calls.count((False, True)), calls.count((False, False))
    differences = sorted(pair.second - pair.first for pair in pairs)
    shift = fmean(differences)
    spread = _Z * stdev(differences) if len(differences) > 1 else None
    return Agreement(
        films=len(pairs),
        both=both,
        first_only=first_only,
        second_only=second_only,
        neither=neither,
        kappa=kappa(both, first_only, second_only, neither),
        positive=specific_agreement(both, first_only + second_only),
        negative=specific_agreement(neither, first_only + second_only),
        shift=shift,
        limits=None if spread is None else (shift - spread, shift + spread),
        quantiles=(_quantile(differences, 0.05), _quantile(differences, 0.5), _quantile(differences, 0.95)),
    )


def kappa(both: int, first_only: int, second_only: int, neither: int) -> Interval | None:
    """Return Cohen's kappa with the standard error of Fleiss, Cohen and Everitt (1969).

    None where a model gives every film the same call: kappa is then 0 whatever the other's calls.
    """
    films = both + first_only + second_only + neither
    p = [[both / films, first_only / films], [second_only / films, neither / films]]
    rows, columns = [sum(p[0]), sum(p[1])], [p[0][0] + p[1][0], p[0][1] + p[1][1]]
    observed, chance = p[0][0] + p[1][1], rows[0] * columns[0] + rows[1] * columns[1]
    if 0.0 in (*rows, *columns):
        return None
    value = (observed - chance) / (1.0 - chance)
    diagonal = sum(p[k][k] * (1.0 - (rows[k] + columns[k]) * (1.0 - value)) ** 2 for k in (0, 1))
    off_diagonal = sum(p[j][k] * (columns[j] + rows[k]) ** 2 for j, k in ((0, 1), (1, 0)))
    variance = diagonal + (1.0 - value) ** 2 * off_diagonal - (value - chance * (1.0 - value)) ** 2
    error = math.sqrt(max(0.0, variance) / films) / (1.0 - chance)
    return Interval(value=value, low=max(-1.0, value - _Z * error), high=min(1.0, value + _Z * error))


def specific_agreement(agreed: int, differing: int) -> Interval | None:
    """Return positive (or negative) agreement, 2a / (2a + b + c); None where neither model gave that call.

    It is 2J / (1 + J), where J is the fraction of agreed films among those to which either model gave the call. The
    interval is Wilson's for J, transformed.
    """
    films = agreed + differing
    if not films:
        return None
    share = agreed / films
    center = (share + _Z * _Z / (2 * films)) / (1 + _Z * _Z / films)
    half = _Z / (1 + _Z * _Z / films) * math.sqrt(share * (1 - share) / films + _Z * _Z / (4 * films * films))
    value, low, high = (2 * j / (1 + j) for j in (share, max(0.0, center - half), min(1.0, center + half)))
    return Interval(value=value, low=low, high=high)


def _quantile(ordered: Sequence[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])
