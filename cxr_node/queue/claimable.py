"""What may be claimed now, in which order, and when the next may be."""

from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, String, bindparam, exists, func, literal_column, select

from cxr_node.db.claim_order import ClaimOrder, WithoutIndex
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import UtcDateTime, delivery, job, result

# Written as literals, not parameters: only then do the databases see that the partial indexes fit.
IS_WAITING = job.c.state == literal_column(f"'{State.WAITING}'", String)
IS_RUNNING = job.c.state == literal_column(f"'{State.RUNNING}'", String)


@cache
def claimable(stage: Stage, *, some_held: bool) -> Select[tuple[int]]:
    """Select the jobs of `stage` that are due by `now` and that nothing holds back, in the order of their turns.

    Made once for all: making a statement costs more than running it. Parameters are `now` and, with `some_held`, the
    destinations that are `held`.
    """
    due = select(job.c.id).where(
        job.c.stage == stage,
        IS_WAITING,
        WithoutIndex(job.c.due_at) <= bindparam("now", type_=UtcDateTime),
        *_free(stage, some_held),
    )
    if stage is Stage.COMPOSE:
        # One composition of a study at a time, so that its versions are numbered in order.
        other = job.alias("other")
        due = due.where(
            ~exists().where(
                other.c.stage == Stage.COMPOSE, other.c.study_id == job.c.study_id, other.c.state == State.RUNNING
            )
        )
    return due.order_by(ClaimOrder(job.c.due_at, job.c.priority), job.c.id)


def next_due(connection: Connection, stage: Stage, *, held: AbstractSet[str] = frozenset()) -> datetime | None:
    """Return when the next waiting job of `stage` that nothing holds back is due, or None when none waits."""
    due: datetime | None = connection.execute(_first_due(stage, some_held=bool(held)), parameters(held)).scalar()
    return due


def parameters(held: AbstractSet[str]) -> dict[str, object]:
    """Return what a statement takes that is told which destinations are held."""
    return {"held": sorted(held)} if held else {}


def count_due(connection: Connection, stage: Stage, *, now: datetime) -> int:
    """Return how many jobs of `stage` are due."""
    return connection.execute(
        select(func.count()).where(job.c.stage == stage, IS_WAITING, job.c.due_at <= now)
    ).scalar_one()


@cache
def _first_due(stage: Stage, *, some_held: bool) -> Select[Any]:
    free = select(job.c.due_at).where(job.c.stage == stage, IS_WAITING, *_free(stage, some_held))
    return free.order_by(job.c.due_at).limit(1)


def _free(stage: Stage, some_held: bool) -> list[ColumnElement[bool]]:
    """Return what a delivery must meet so that nothing holds it back; other stages have nothing to meet."""
    if stage is not Stage.DELIVER:
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
    if some_held:
        is_held = exists().where(
            delivery.c.id == job.c.delivery_id, delivery.c.destination.in_(bindparam("held", expanding=True))
        )
        free.append(~is_held.correlate(job))
    return free
