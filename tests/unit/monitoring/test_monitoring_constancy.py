"""State of a constancy check from its values, and when a check is due."""

from datetime import datetime, time

import pytest

from cxr_node.monitoring.constancy import (
    CheckedValue,
    CheckState,
    Tolerances,
    ValueKind,
    check_state,
    compare_with_baseline,
    is_due,
)

TOLERANCES = Tolerances()


def value(kind: ValueKind, number: float, *, key: str = "a", expected: float | None = None) -> CheckedValue:
    return CheckedValue(
        seed=1, kind=kind, key=key, value=number, expected=expected, tolerance=0.03 if expected else None
    )


@pytest.mark.parametrize(
    ("kind", "accepted", "number", "is_within_tolerance"),
    [
        (ValueKind.SCORE, 0.5, 0.509, True),
        (ValueKind.SCORE, 0.5, 0.511, False),
        (ValueKind.MEASUREMENT, 100.0, 101.9, True),
        (ValueKind.MEASUREMENT, -100.0, -102.1, False),
    ],
)
def test_score_tolerances_are_absolute_and_measurement_ones_relative(
    kind: ValueKind, accepted: float, number: float, is_within_tolerance: bool
) -> None:
    (compared,) = compare_with_baseline([value(kind, number)], {(1, kind, "a"): accepted}, TOLERANCES)

    assert compared.is_within_tolerance is is_within_tolerance


def test_a_value_with_a_true_value_fails_without_a_baseline() -> None:
    good, bad = value(ValueKind.TRUTH, 0.5, expected=0.52), value(ValueKind.TRUTH, 0.5, expected=0.54)

    assert check_state(compare_with_baseline([good], {}, TOLERANCES), {})[0] is CheckState.UNACCEPTED
    assert check_state(compare_with_baseline([bad], {}, TOLERANCES), {}) == (
        CheckState.FAILED,
        "out of tolerance: a of phantom 1",
    )


def test_a_missing_baseline_value_is_a_failure() -> None:
    baseline = {(1, "score", "a"): 0.5, (1, "score", "b"): 0.5}

    assert check_state(compare_with_baseline([value(ValueKind.SCORE, 0.5)], baseline, TOLERANCES), baseline) == (
        CheckState.FAILED, "missing: b of phantom 1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("now", "last", "due"),
    [
        ("2026-03-02T05:29", None, False),
        ("2026-03-02T05:30", None, True),
        ("2026-03-02T05:31", "2026-03-02T05:30", False),
        ("2026-03-02T09:00", "2026-03-01T05:30", True),
        ("2026-03-02T05:29", "2026-03-01T05:30", False),
    ],
)
def test_a_check_is_due_once_a_day_from_its_time_on(now: str, last: str | None, due: bool) -> None:
    began = datetime.fromisoformat(last) if last else None

    assert is_due(datetime.fromisoformat(now), began, time(5, 30)) is due
