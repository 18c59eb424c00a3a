"""Ratios and percentiles of several rounds."""

import pytest

from benchmarks.load.rounds import Round, Spread, percentile, ratios


def a_round(films: int, seconds: float) -> Round:
    return Round(
        films=films,
        seconds=seconds,
        answers_s=(),
        cpu_s=0.0,
        sender_cpu_s=0.0,
        peak_rss_mb=0.0,
        refused=0,
        failed=0,
    )


def test_a_ratio_is_taken_round_by_round() -> None:
    ours = [a_round(10, 1.0), a_round(30, 1.0), a_round(20, 1.0)]
    others = [a_round(5, 1.0), a_round(10, 1.0), a_round(20, 2.0)]

    assert ratios(ours, others) == Spread(median=2.0, least=2.0, most=3.0)


def test_there_is_no_ratio_to_a_receiver_without_films() -> None:
    assert ratios([a_round(10, 1.0)], [a_round(0, 0.0)]) is None


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_measured_value(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected
