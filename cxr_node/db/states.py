"""The life of a job: a pure table, (state, event) to state."""

from enum import StrEnum


class Stage(StrEnum):
    """Which part of the main path a job is: each stage is a queue of its own."""

    READ = "read"
    COMPOSE = "compose"
    DELIVER = "deliver"
    COMMIT = "commit"


class State(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    NOT_ANALYSED = "not_analysed"
    FAILED = "failed"


class Event(StrEnum):
    """What can happen to a job."""

    CREATED = "created"
    CLAIMED = "claimed"
    FINISHED = "finished"
    SET_ASIDE = "set_aside"
    RETRY = "retry"
    GAVE_UP = "gave_up"
    LEASE_LOST = "lease_lost"
    RELEASED = "released"
    REQUEUED = "requeued"


ENDED = frozenset({State.DONE, State.NOT_ANALYSED, State.FAILED})

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.WAITING, Event.CLAIMED): State.RUNNING,
    # A second content under a known SOP Instance UID is set aside before anyone reads it.
    (State.WAITING, Event.SET_ASIDE): State.NOT_ANALYSED,
    (State.RUNNING, Event.FINISHED): State.DONE,
    (State.RUNNING, Event.SET_ASIDE): State.NOT_ANALYSED,
    (State.RUNNING, Event.RETRY): State.WAITING,
    (State.RUNNING, Event.GAVE_UP): State.FAILED,
    # The worker died while the node lived: this is counted, for the job may be why.
    (State.RUNNING, Event.LEASE_LOST): State.WAITING,
    # The whole node stopped: not the job's fault.
    (State.RUNNING, Event.RELEASED): State.WAITING,
    (State.DONE, Event.REQUEUED): State.WAITING,
    (State.NOT_ANALYSED, Event.REQUEUED): State.WAITING,
    (State.FAILED, Event.REQUEUED): State.WAITING,
}


class ForbiddenTransition(Exception):
    """An event that the job's state does not allow, or a job that another worker moved first."""


def after(state: State, event: Event) -> State:
    """Return the state that `event` leads to from `state`, or raise `ForbiddenTransition`."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ForbiddenTransition(f"a job that is {state} cannot be {event}") from None
