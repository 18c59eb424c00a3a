"""What may be claimed now, in which order, and when the next may be."""

from collections.abc import Set as AbstractSet
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, exists, func, literal, select

from cxr_node.jobs.states import Leg, State
from cxr_node.jobs.tables import delivery, job, result
from cxr_node.jobs.turns import Turn

# Written as literals, not parameters: only then do the databases see that the partial indexes fit.
IS_WAITING = job.c.state == literal(State.WAITING.value, literal_execute=True)
IS_RUNNING = job.c.state == literal(State.RUNNING.value, literal_execute=True)


def claimable(leg: Leg, *, now: datetime, held: AbstractSet[str]) -> Select[tuple[int]]:
    """Select the due jobs of `leg` that nothing holds back, most urgent first."""
    due = select(job.c.id).where(job.c.leg == leg, IS_WAITING, job.c.due_at <= now, *_free(leg, held))
    if leg is Leg.COMPOSE:
        # One composition of a study at a time, so that its versions are numbered in order.
        other = job.alias("other")
        due = due.where(
            ~exists().where(
                other.c.leg == Leg.COMPOSE, other.c.study_id == job.c.study_id, other.c.state == State.RUNNING
            )
        )
    return due.order_by(Turn(job.c.due_at, job.c.priority), job.c.id)


def next_due(connection: Connection, leg: Leg, *, held: AbstractSet[str] = frozenset()) -> datetime | None:
    """Return when the next waiting job of `leg` that nothing holds back is due, or None when none waits."""
    first = select(job.c.due_at).where(job.c.leg == leg, IS_WAITING, *_free(leg, held)).order_by(job.c.due_at).limit(1)
    due: datetime | None = connection.execute(first).scalar()
    return due


def waiting(connection: Connection, leg: Leg, *, now: datetime) -> int:
    """Return how many jobs of `leg` are due."""
    return connection.execute(
        select(func.count()).where(job.c.leg == leg, IS_WAITING, job.c.due_at <= now)
    ).scalar_one()


def _free(leg: Leg, held: AbstractSet[str]) -> list[ColumnElement[bool]]:
    """Return what a delivery must meet so that nothing holds it back; other legs have nothing to meet."""
    if leg is not Leg.DELIVER:
        return []
    mine, composed = delivery.alias("mine"), result.alias("composed")
    earlier, older, before = delivery.alias("earlier"), result.alias("older"), job.alias("before")
    is_after_another = exists().where(
        mine.c.id == job.c.delivery_id,
        composed.c.id == mine.c.result_id,
        older.c.study_id == composed.c.study_id,
        older.c.id < composed.c.id,
        earlier.c.result_id == older.c.id,
        earlier.c.destination == mine.c.destination,
        earlier.c.delivered_at.is_(None),
        before.c.delivery_id == earlier.c.id,
        before.c.state.in_([State.WAITING, State.RUNNING]),
    )
    free = [~is_after_another.correlate(job)]
    if held:
        is_held = exists().where(delivery.c.id == job.c.delivery_id, delivery.c.destination.in_(sorted(held)))
        free.append(~is_held.correlate(job))
    return free
