"""What a phantom's values come to, and when a check is due."""

from datetime import datetime, time

import pytest

from cxr_node.monitoring.constancy import Held, State, Tolerances, Value, compared, is_due, judged

TOLERANCES = Tolerances()


def value(kind: Held, number: float, *, key: str = "a", expected: float | None = None) -> Value:
    return Value(seed=1, kind=kind, key=key, value=number, expected=expected, tolerance=0.03 if expected else None)


@pytest.mark.parametrize(
    ("kind", "accepted", "number", "is_within_tolerance"),
    [
        (Held.SCORE, 0.5, 0.509, True),
        (Held.SCORE, 0.5, 0.511, False),
        (Held.MEASUREMENT, 100.0, 101.9, True),
        (Held.MEASUREMENT, -100.0, -102.1, False),
    ],
)
def test_scores_are_held_as_they_are_and_measurements_by_their_share(
    kind: Held, accepted: float, number: float, is_within_tolerance: bool
) -> None:
    (held,) = compared([value(kind, number)], {(1, kind, "a"): accepted}, TOLERANCES)

    assert held.is_within_tolerance is is_within_tolerance


def test_truth_needs_no_acceptance_and_fails_without_one() -> None:
    good, bad = value(Held.TRUTH, 0.5, expected=0.52), value(Held.TRUTH, 0.5, expected=0.54)

    assert judged(compared([good], {}, TOLERANCES), {})[0] is State.UNACCEPTED
    assert judged(compared([bad], {}, TOLERANCES), {}) == (State.FAILED, "not as expected: a of phantom 1")


def test_what_was_accepted_and_is_gone_is_a_failure() -> None:
    known = {(1, "score", "a"): 0.5, (1, "score", "b"): 0.5}

    assert judged(compared([value(Held.SCORE, 0.5)], known, TOLERANCES), known) == (
        State.FAILED, "not there: b of phantom 1",
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
