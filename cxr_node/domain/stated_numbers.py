"""Scores and ratios as people read them: rounded, with digits that keep each on its side of threshold and limit. Pure.

Scores are 0 to 100 without decimals, ratios have two. Each has more where the rounded number would equal its threshold,
or where a ratio below the normal limit would be rounded to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cxr_node.domain import concepts
from cxr_node.domain.reading import Finding, Reading

NORMAL_RATIO = 0.5
"""Cardiothoracic ratio of adults on PA films below which the heart is of normal width."""
_MORE = 4
"""Greatest number of added decimals: differences below it are none of the film."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedScore:
    """Score and threshold of a finding, rounded to the decimals with which they are written."""

    score: float
    threshold: float
    score_digits: int
    threshold_digits: int


def stated_score(finding: Finding) -> StatedScore:
    """Return score and threshold of a finding: 0 to 100, or ratios."""
    return stated(finding.key, finding.score, finding.operating_point)


def stated(key: str, score: float, operating_point: float) -> StatedScore:
    """Return a score and its operating point, each 0 to 1, as they are stated of the finding `key`."""
    is_ratio = key == concepts.CARDIOMEGALY_BY_RATIO
    factor, least = (1, 2) if is_ratio else (100, 0)
    value, threshold = score * factor, operating_point * factor
    digits = _digits(least, lambda number: round(value, number) != round(threshold, number) or value == threshold)
    digits = max(digits, digits_of_ratio(score)) if is_ratio else digits
    return StatedScore(
        score=round(value, digits or None),
        threshold=round(threshold, digits or None),
        score_digits=digits,
        threshold_digits=_digits(least, lambda number: round(threshold, number) == round(threshold, digits)),
    )


def ratio_of(reading: Reading) -> float | None:
    """Return the cardiothoracic ratio of a film, or None where it was not measured."""
    values = (one.value for one in reading.measurements if one.code == concepts.CARDIOTHORACIC_RATIO)
    return next(values, None)


def ratio_digits(reading: Reading) -> int:
    """Return the decimals of a film's ratio: those of the finding by the ratio, if there is one; 2 without a ratio."""
    findings = () if reading.prediction is None else reading.prediction.findings
    by_ratio = [stated_score(one).score_digits for one in findings if one.key == concepts.CARDIOMEGALY_BY_RATIO]
    ratio = ratio_of(reading)
    return max([2 if ratio is None else digits_of_ratio(ratio), *by_ratio])


def digits_of_ratio(ratio: float) -> int:
    """Return the decimals of a cardiothoracic ratio: 2, or more where it would be rounded to the normal limit."""
    return _digits(2, lambda number: (round(ratio, number) >= NORMAL_RATIO) == (ratio >= NORMAL_RATIO))


def _digits(least: int, is_enough: Callable[[int], bool]) -> int:
    """Return the first number of decimals from `least` on that is enough, or the greatest."""
    most = least + _MORE
    return next((number for number in range(least, most) if is_enough(number)), most)
