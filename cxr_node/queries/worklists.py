"""Worklists that the node performs: whether their managers answer, and how many steps are claimed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from cxr_node.db.procedure_step_tables import procedure_step, worklist_state
from cxr_node.records import procedure_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistStatus:
    """A worklist: since when its manager answers, or does not; `trouble` says why, and is "" where it does.

    `claimed` steps have not ended; `ended` have since a time, the last at `last_ended_at`.
    """

    worklist: str
    since: datetime
    trouble: str
    claimed: int
    ended: int
    last_ended_at: datetime | None


def worklists(connection: Connection, *, since: datetime) -> tuple[WorklistStatus, ...]:
    """Return the worklists that were asked, by name; ended steps are counted since a time."""
    claimed = procedure_steps.open_worklists(connection)
    counts = (
        select(procedure_step.c.worklist, func.count(), func.max(procedure_step.c.ended_at))
        .where(procedure_step.c.ended_at >= since)
        .group_by(procedure_step.c.worklist)
    )
    ended = {worklist: (steps, last) for worklist, steps, last in connection.execute(counts)}
    states = connection.execute(select(worklist_state).order_by(worklist_state.c.worklist)).all()
    return tuple(
        WorklistStatus(
            worklist=row.worklist,
            since=row.since,
            trouble=row.detail,
            claimed=claimed.get(row.worklist, 0),
            ended=ended.get(row.worklist, (0, None))[0],
            last_ended_at=ended.get(row.worklist, (0, None))[1],
        )
        for row in states
    )
