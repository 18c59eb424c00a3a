"""State machine of jobs."""

from itertools import product

import pytest

from cxr_node.db.states import ENDED, TRANSITIONS, Event, ForbiddenTransition, State, after


def test_every_other_pair_of_state_and_event_is_forbidden() -> None:
    for state, event in product(State, Event):
        if (state, event) in TRANSITIONS:
            assert after(state, event) in State
        else:
            with pytest.raises(ForbiddenTransition):
                after(state, event)


def test_an_ended_job_can_only_be_requeued_or_dismissed() -> None:
    assert {event for state, event in TRANSITIONS if state in ENDED} == {Event.REQUEUED, Event.DISMISSED}


def test_a_running_job_can_reach_every_end() -> None:
    assert {after(State.RUNNING, event) for state, event in TRANSITIONS if state is State.RUNNING} == {
        *ENDED,
        State.WAITING,
    }
