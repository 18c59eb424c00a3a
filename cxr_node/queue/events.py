"""Job events: one row for each change of a job's state, written in the same transaction."""

from collections.abc import Iterable

from sqlalchemy import insert

from cxr_node.db.database import Transaction
from cxr_node.db.states import Event, State
from cxr_node.db.tables import job_event

INSERT_EVENTS = insert(job_event)
"""Built once: building a statement costs more than running it."""


def record(
    transaction: Transaction,
    job_ids: Iterable[int],
    event: Event,
    state: State,
    *,
    now: object,
    actor: str = "",
    detail: str = "",
) -> None:
    """Write an event of several jobs, which are in `state` after it."""
    rows = [row(job_id, event, state, now=now, actor=actor, detail=detail) for job_id in job_ids]
    if rows:
        transaction.connection.execute(INSERT_EVENTS, rows)


def row(
    job_id: int, event: Event, state: State, *, now: object, actor: str = "", detail: str = ""
) -> dict[str, object]:
    """Return the row of an event."""
    return {"job_id": job_id, "at": now, "event": event, "state": state, "actor": actor, "detail": detail}
