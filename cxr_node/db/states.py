"""State machine of a job: a table from state and event to state."""

from enum import StrEnum


class Stage(StrEnum):
    """A step of the main path. Each stage has its own queue."""

    READ = "read"
    COMPOSE = "compose"
    DELIVER = "deliver"
    COMMIT = "commit"


class State(StrEnum):
    """State of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    NOT_ANALYSED = "not_analysed"
    FAILED = "failed"
    DISMISSED = "dismissed"


class Event(StrEnum):
    """Event that changes the state of a job."""

    CREATED = "created"
    CLAIMED = "claimed"
    FINISHED = "finished"
    NOT_ANALYSED = "not_analysed"
    RETRY = "retry"
    GAVE_UP = "gave_up"
    LEASE_LOST = "lease_lost"
    RELEASED = "released"
    REQUEUED = "requeued"
    DISMISSED = "dismissed"


ENDED = frozenset({State.DONE, State.NOT_ANALYSED, State.FAILED, State.DISMISSED})

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.WAITING, Event.CLAIMED): State.RUNNING,
    (State.RUNNING, Event.FINISHED): State.DONE,
    (State.RUNNING, Event.NOT_ANALYSED): State.NOT_ANALYSED,
    (State.RUNNING, Event.RETRY): State.WAITING,
    (State.RUNNING, Event.GAVE_UP): State.FAILED,
    # The worker died while the node ran on. It counts as a crash, as the job may be the cause.
    (State.RUNNING, Event.LEASE_LOST): State.WAITING,
    # The whole node stopped, which the job did not cause.
    (State.RUNNING, Event.RELEASED): State.WAITING,
    (State.DONE, Event.REQUEUED): State.WAITING,
    (State.NOT_ANALYSED, Event.REQUEUED): State.WAITING,
    (State.FAILED, Event.REQUEUED): State.WAITING,
    (State.DISMISSED, Event.REQUEUED): State.WAITING,
    # By a person, in any state: what a worker of a running job records then is refused.
    **{(state, Event.DISMISSED): State.DISMISSED for state in State if state is not State.DISMISSED},
}


class ForbiddenTransition(Exception):
    """The state of the job does not allow the event, or another worker has changed it first."""


def after(state: State, event: Event) -> State:
    """Return the state after `event`, or raise `ForbiddenTransition`."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ForbiddenTransition(f"a job that is {state} cannot be {event}") from None
