"""Drift detection: reference and current windows, and detection in simulated streams."""

from datetime import date, timedelta

import pytest

from benchmarks.drift import FIRST, Change, evaluated, false_alarms, films_until_detected, seeded, stream
from cxr_node.domain.daily_stats import SCORE_BINS, DateRange, Statistic, score_bin, seconds_bin, seconds_of
from cxr_node.monitoring.drift import DriftRules, current_window, reference_window

RULES = DriftRules(reference_films=300, minimum_films=50)


def films(*counts: int) -> list[tuple[date, int]]:
    return [(FIRST + timedelta(days=number), count) for number, count in enumerate(counts)]


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def test_the_reference_is_the_first_week_or_more_with_enough_films() -> None:
    assert reference_window(films(*[50] * 10), RULES) == DateRange(first=day(0), last=day(6))
    assert reference_window(films(*[20] * 40), RULES) == DateRange(first=day(0), last=day(14))
    assert reference_window(films(*[20] * 14), RULES) is None


def test_declared_days_are_the_reference_if_they_hold_enough_films() -> None:
    declared = DriftRules(reference_from=day(3), reference_until=day(5), reference_films=300)
    after = [(at + timedelta(days=100), count) for at, count in films(*[50] * 10)]

    assert reference_window(films(*[50] * 10), declared) == DateRange(first=day(3), last=day(5))
    assert reference_window(after, declared) == DateRange(first=day(100), last=day(106))


def test_a_window_grows_with_few_films_but_never_into_the_reference() -> None:
    reference = DateRange(first=day(0), last=day(9))

    assert current_window(films(*[10] * 30), reference, RULES, day=day(29)) == DateRange(first=day(23), last=day(29))
    assert current_window(films(*[3] * 40), reference, RULES, day=day(39)) == DateRange(first=day(23), last=day(39))
    assert current_window(films(*[1] * 60), reference, RULES, day=day(59)) is None
    assert current_window(films(*[30] * 12), reference, RULES, day=day(11)) == DateRange(first=day(10), last=day(11))


def test_bins_hold_the_values_in_their_range() -> None:
    assert (score_bin(0.0), score_bin(0.00499), score_bin(0.005), score_bin(1.0)) == (0, 0, 1, SCORE_BINS - 1)
    assert seconds_bin(0.0) == 0
    for seconds in (0.5, 3.0, 1e5):
        assert seconds_of(seconds_bin(seconds)) == pytest.approx(seconds, rel=0.13)


@pytest.mark.slow
def test_unchanged_films_raise_no_more_alarms_than_stated() -> None:
    days, alarms, _ = false_alarms(range(3), films=40, days=60, rules=RULES)

    assert days > 100
    assert alarms <= 0.05 * days, "alpha is 0.01 a day; alarms come in runs, for windows overlap"


@pytest.mark.slow
def test_false_alarms_follow_alpha_without_a_least_effect() -> None:
    loose = DriftRules(reference_films=300, alpha=0.2, least_effects=dict.fromkeys(Statistic, 0.0))

    days, alarms, _ = false_alarms(range(4), films=40, days=40, rules=loose, devices=2)

    assert 0 < alarms < 0.2 * days


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"score": 0.1}, {Statistic.SCORE, Statistic.POSITIVE}),
        ({"rejected": 0.15}, {Statistic.REJECTED}),
        ({"slower": 2.5}, {Statistic.TURNAROUND}),
    ],
)
def test_a_planted_change_is_detected_on_its_device_alone(change: dict[str, float], kinds: set[Statistic]) -> None:
    planted = Change(device="DX1", day=20, **change)

    results = evaluated(stream(seeded(4), ("DX0", "DX1", "DX2"), 40, 28, planted), day(27), RULES)

    drifted = [result for result in results if result.is_drift]
    assert {result.device for result in drifted} == {"DX1"}
    assert {result.kind for result in drifted} <= kinds
    assert len(results) == 18


@pytest.mark.slow
def test_a_score_shift_of_a_tenth_is_detected_within_a_window() -> None:
    delay = films_until_detected(7, films=40, change=Change(device="DX1", day=20, score=0.1), rules=RULES)

    assert delay is not None
    assert delay <= 7 * 45


def test_too_few_films_give_no_test() -> None:
    assert evaluated(stream(seeded(1), ("DX0",), 1, 40, Change(device="", day=99)), day(39), RULES) == []
