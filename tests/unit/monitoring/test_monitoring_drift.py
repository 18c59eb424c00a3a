"""When drift is said: references, windows, and what is and is not found in simulated streams."""

from datetime import date, timedelta

import pytest

from benchmarks.drift import FIRST, Change, false_alarms, found_after, judged, seeded, stream
from cxr_node.domain.daily_stats import SCORE_BINS, DateRange, Statistic, score_bin, seconds_bin, seconds_of
from cxr_node.monitoring.drift import Rules, reference_of, window_of

RULES = Rules(reference_films=300, minimum_films=50)


def films(*many: int) -> list[tuple[date, int]]:
    return [(FIRST + timedelta(days=number), count) for number, count in enumerate(many)]


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def test_a_reference_is_the_first_whole_days_with_enough_films_and_at_least_a_week() -> None:
    assert reference_of(films(*[50] * 10), RULES) == DateRange(first=day(0), last=day(6))
    assert reference_of(films(*[20] * 40), RULES) == DateRange(first=day(0), last=day(14))
    assert reference_of(films(*[20] * 14), RULES) is None


def test_declared_days_are_the_reference_unless_a_new_model_has_too_few_films_in_them() -> None:
    declared = Rules(reference_from=day(3), reference_until=day(5), reference_films=300)
    after = [(each + timedelta(days=100), many) for each, many in films(*[50] * 10)]

    assert reference_of(films(*[50] * 10), declared) == DateRange(first=day(3), last=day(5))
    assert reference_of(after, declared) == DateRange(first=day(100), last=day(106))


def test_a_window_grows_for_a_quiet_device_and_never_reaches_into_the_reference() -> None:
    reference = DateRange(first=day(0), last=day(9))

    assert window_of(films(*[10] * 30), reference, RULES, day=day(29)) == DateRange(first=day(23), last=day(29))
    assert window_of(films(*[3] * 40), reference, RULES, day=day(39)) == DateRange(first=day(23), last=day(39))
    assert window_of(films(*[1] * 60), reference, RULES, day=day(59)) is None
    assert window_of(films(*[30] * 12), reference, RULES, day=day(11)) == DateRange(first=day(10), last=day(11))


def test_bins_hold_what_they_say() -> None:
    assert (score_bin(0.0), score_bin(0.00499), score_bin(0.005), score_bin(1.0)) == (0, 0, 1, SCORE_BINS - 1)
    assert seconds_bin(0.0) == 0
    for seconds in (0.5, 3.0, 1e5):
        assert seconds_of(seconds_bin(seconds)) == pytest.approx(seconds, rel=0.13)


def test_films_that_do_not_change_raise_no_more_alarms_than_stated() -> None:
    days, alarms, _ = false_alarms(range(3), films=40, days=60, rules=RULES)

    assert days > 100
    assert alarms <= 0.05 * days, "alpha is 0.01 a day; alarms come in runs, for windows overlap"


def test_a_false_alarm_is_as_likely_as_alpha_says_and_no_gate_hides_that() -> None:
    loose = Rules(reference_films=300, alpha=0.2, least_effects=dict.fromkeys(Statistic, 0.0))

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
def test_a_planted_change_of_one_device_is_found_on_it_alone(change: dict[str, float], kinds: set[Statistic]) -> None:
    planted = Change(device="DX1", day=20, **change)

    said = judged(stream(seeded(4), ("DX0", "DX1", "DX2"), 40, 28, planted), day(27), RULES)

    drifted = [each for each in said if each.is_drift]
    assert {each.device for each in drifted} == {"DX1"}
    assert {each.kind for each in drifted} <= kinds
    assert len(said) == 18


def test_a_shift_of_scores_by_a_tenth_is_found_within_a_window() -> None:
    took = found_after(7, films=40, change=Change(device="DX1", day=20, score=0.1), rules=RULES)

    assert took is not None
    assert took <= 7 * 45


def test_too_few_films_say_nothing() -> None:
    assert judged(stream(seeded(1), ("DX0",), 1, 40, Change(device="", day=99)), day(39), RULES) == []
