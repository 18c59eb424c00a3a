"""Digits of scores and ratios: as few as possible, and enough to tell a value from its threshold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.concepts import CARDIOMEGALY_BY_RATIO
from cxr_node.domain.stated_numbers import NORMAL_RATIO, StatedScore, stated

_SHARES = st.floats(0, 1)


def _written(number: StatedScore) -> str:
    return f"{number.score:.{number.score_digits}f} {number.threshold:.{number.threshold_digits}f}"


@pytest.mark.parametrize(
    ("key", "score", "threshold", "text"),
    [
        ("opacity", 0.86, 0.46, "86 46"),
        ("opacity", 0.2381, 0.236, "23.8 23.6"),
        ("opacity", 0.23604, 0.236, "23.604 23.6"),
        ("opacity", 0.5, 0.5, "50 50"),
        (CARDIOMEGALY_BY_RATIO, 0.46, 0.53, "0.46 0.53"),
        (CARDIOMEGALY_BY_RATIO, 0.528, 0.53, "0.528 0.53"),
        (CARDIOMEGALY_BY_RATIO, 0.4996, 0.53, "0.4996 0.53"),
        (CARDIOMEGALY_BY_RATIO, 0.5004, 0.53, "0.50 0.53"),
        (CARDIOMEGALY_BY_RATIO, 0.6, 0.6, "0.60 0.60"),
    ],
)
def test_a_number_has_no_more_digits_than_tell_it_from_its_threshold(
    key: str, score: float, threshold: float, text: str
) -> None:
    assert _written(stated(key, score, threshold)) == text


@given(score=_SHARES, threshold=_SHARES)
def test_rounding_moves_no_score_to_or_over_its_threshold(score: float, threshold: float) -> None:
    number = stated("opacity", score, threshold)
    if abs(score - threshold) > 1e-5:
        assert (number.score > number.threshold) == (score > threshold)
        assert number.score != number.threshold


@given(ratio=_SHARES)
def test_a_ratio_below_the_normal_limit_is_written_below_it(ratio: float) -> None:
    number = stated(CARDIOMEGALY_BY_RATIO, ratio, 0.53)
    if abs(ratio - NORMAL_RATIO) > 1e-5:
        assert (number.score >= NORMAL_RATIO) == (ratio >= NORMAL_RATIO)
