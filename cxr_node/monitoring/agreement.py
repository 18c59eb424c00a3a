"""Two models on the same films: where they agree at their operating points, and how far scores are apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

_Z = 1.959964
"""Standard normal deviate of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A film's scores by both models, and where each calls the finding present from."""

    first: float
    first_point: float
    second: float
    second_point: float

    @property
    def differs(self) -> bool:
        """Whether one calls present what the other does not."""
        return (self.first >= self.first_point) != (self.second >= self.second_point)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What two models make of a finding; `shift` is second less first. None where a figure cannot be said.

    `limits` are those within which 95 of 100 differences would lie if they were normal (Bland and Altman 1986);
    `quantiles` are the 5th, 50th and 95th percentile of the differences as they are.
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


def agreement(pairs: Sequence[Pair]) -> Agreement:
    """Return how two models agree on films, each counted once.

    Raises
    ------
    ValueError
        If there are no films.
    """
    if not pairs:
        raise ValueError("no films to compare")
    called = [(each.first >= each.first_point, each.second >= each.second_point) for each in pairs]
    both, first_only = called.count((True, True)), called.count((True, False))
    second_only, neither = called.count((False, True)), called.count((False, False))
    differences = sorted(each.second - each.first for each in pairs)
    shift = fmean(differences)
    spread = _Z * stdev(differences) if len(differences) > 1 else None
    return Agreement(
        films=len(pairs),
        both=both,
        first_only=first_only,
        second_only=second_only,
        neither=neither,
        kappa=kappa(both, first_only, second_only, neither),
        positive=specific(both, first_only + second_only),
        negative=specific(neither, first_only + second_only),
        shift=shift,
        limits=None if spread is None else (shift - spread, shift + spread),
        quantiles=(_quantile(differences, 0.05), _quantile(differences, 0.5), _quantile(differences, 0.95)),
    )


def kappa(both: int, first_only: int, second_only: int, neither: int) -> Interval | None:
    """Return Cohen's kappa with the standard error of Fleiss, Cohen and Everitt (1969).

    None where either model says the same of every film: it would be 0 whatever the other says.
    """
    films = both + first_only + second_only + neither
    p = [[both / films, first_only / films], [second_only / films, neither / films]]
    rows, columns = [sum(p[0]), sum(p[1])], [p[0][0] + p[1][0], p[0][1] + p[1][1]]
    observed, chance = p[0][0] + p[1][1], rows[0] * columns[0] + rows[1] * columns[1]
    if 0.0 in (*rows, *columns):
        return None
    value = (observed - chance) / (1.0 - chance)
    same = sum(p[k][k] * (1.0 - (rows[k] + columns[k]) * (1.0 - value)) ** 2 for k in (0, 1))
    other = sum(p[j][k] * (columns[j] + rows[k]) ** 2 for j, k in ((0, 1), (1, 0)))
    variance = same + (1.0 - value) ** 2 * other - (value - chance * (1.0 - value)) ** 2
    error = math.sqrt(max(0.0, variance) / films) / (1.0 - chance)
    return Interval(value=value, low=max(-1.0, value - _Z * error), high=min(1.0, value + _Z * error))


def specific(agreed: int, differing: int) -> Interval | None:
    """Return positive (or negative) agreement, 2a / (2a + b + c); None where nobody said so of any film.

    It is 2J / (1 + J) of the share J of agreed films among those that either said so of, whose interval is Wilson's.
    """
    films = agreed + differing
    if not films:
        return None
    share = agreed / films
    middle = (share + _Z * _Z / (2 * films)) / (1 + _Z * _Z / films)
    half = _Z / (1 + _Z * _Z / films) * math.sqrt(share * (1 - share) / films + _Z * _Z / (4 * films * films))
    value, low, high = (2 * each / (1 + each) for each in (share, max(0.0, middle - half), min(1.0, middle + half)))
    return Interval(value=value, low=low, high=high)


def _quantile(ordered: Sequence[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])
