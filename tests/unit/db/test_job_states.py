"""State machine of jobs, and retry rules."""

from datetime import timedelta
from itertools import product

import pytest

from cxr_node.db.states import ENDED, TRANSITIONS, Event, ForbiddenTransition, Stage, State, after
from cxr_node.queue.retry import RULES, RetryRule, due_again
from tests.support.queue import NOON

RULE = RetryRule(first_s=5, longest_s=60, give_up_s=3600)


def test_every_other_pair_of_state_and_event_is_forbidden() -> None:
    for state, event in product(State, Event):
        if (state, event) in TRANSITIONS:
            assert after(state, event) in State
        else:
            with pytest.raises(ForbiddenTransition):
                after(state, event)


def test_an_ended_job_can_only_be_requeued() -> None:
    assert {event for state, event in TRANSITIONS if state in ENDED} == {Event.REQUEUED}


def test_a_running_job_can_reach_every_end() -> None:
    assert {after(State.RUNNING, event) for state, event in TRANSITIONS if state is State.RUNNING} == {
        *ENDED,
        State.WAITING,
    }


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (1000, 60)])
def test_the_delay_doubles_up_to_its_maximum(attempts: int, seconds: float) -> None:
    due = due_again(RULE, attempts=attempts, queued_at=NOON, now=NOON, jitter=1.0)

    assert due == NOON + timedelta(seconds=seconds)


def test_jitter_spreads_over_the_second_half_of_the_delay() -> None:
    due = due_again(RULE, attempts=1, queued_at=NOON, now=NOON, jitter=0.0)

    assert due == NOON + timedelta(seconds=2.5)


def test_a_job_is_given_up_after_its_time() -> None:
    end = NOON + timedelta(seconds=RULE.give_up_s)

    assert due_again(RULE, attempts=9, queued_at=NOON, now=end - timedelta(seconds=1), jitter=0.5) is not None
    assert due_again(RULE, attempts=9, queued_at=NOON, now=end, jitter=0.5) is None


def test_every_stage_has_a_rule_and_deliveries_have_three_days() -> None:
    assert set(RULES) == set(Stage)
    assert RULES[Stage.DELIVER].give_up_s == 72 * 3600
