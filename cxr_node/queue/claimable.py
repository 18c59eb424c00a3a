"""Claimable jobs of a stage in claim order, and the time at which the next one falls due."""

from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, String, bindparam, exists, func, literal_column, select

from cxr_node.db.claim_order import ClaimOrder, WithoutIndex
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import UtcDateTime, delivery, job, pause, result

# Literals, not parameters: only then do the planners use the partial indexes.
IS_WAITING = job.c.state == literal_column(f"'{State.WAITING}'", String)
IS_RUNNING = job.c.state == literal_column(f"'{State.RUNNING}'", String)


@cache
def claimable(stage: Stage, *, is_blocked: bool) -> Select[tuple[int]]:
    """Select the jobs of `stage` that are due by `now` and can be claimed, in claim order.

    Cached: building a statement costs more than running it. Parameters are `now` and, with `is_blocked`, the
    `blocked` destinations.
    """
    due = select(job.c.id).where(
        job.c.stage == stage,
        IS_WAITING,
        WithoutIndex(job.c.due_at) <= bindparam("now", type_=UtcDateTime),
        *_conditions(stage, is_blocked),
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


def next_due(
    connection: Connection, stage: Stage, *, blocked_destinations: AbstractSet[str] = frozenset()
) -> datetime | None:
    """Return when the next waiting job of `stage` that can be claimed falls due; None if no job waits."""
    statement = _first_due(stage, is_blocked=bool(blocked_destinations))
    due: datetime | None = connection.execute(statement, parameters(blocked_destinations)).scalar()
    return due


def parameters(blocked_destinations: AbstractSet[str]) -> dict[str, object]:
    """Return the parameters of a statement made with `is_blocked`."""
    return {"blocked": sorted(blocked_destinations)} if blocked_destinations else {}


def count_due(connection: Connection, stage: Stage, *, now: datetime) -> int:
    """Return how many jobs of `stage` are due."""
    return connection.execute(
        select(func.count()).where(job.c.stage == stage, IS_WAITING, job.c.due_at <= now)
    ).scalar_one()


@cache
def _first_due(stage: Stage, *, is_blocked: bool) -> Select[Any]:
    waiting = select(job.c.due_at).where(job.c.stage == stage, IS_WAITING, *_conditions(stage, is_blocked))
    return waiting.order_by(job.c.due_at).limit(1)


def is_paused(stage: Stage) -> ColumnElement[bool]:
    """Return the condition that a person has paused a job of `stage`, or its destination."""
    of_stage = pause.c.stage == literal_column(f"'{stage}'", String)
    if stage is not Stage.DELIVER:
        return exists().where(of_stage)
    paused_delivery = delivery.alias("paused_delivery")
    to_destination = paused_delivery.c.id == job.c.delivery_id, paused_delivery.c.destination == pause.c.destination
    return exists().where(of_stage, *to_destination).correlate(job)


def _conditions(stage: Stage, is_blocked: bool) -> list[ColumnElement[bool]]:
    """Return the conditions of a job that can be claimed: it is not paused.

    A delivery is to no blocked destination, and no earlier result of the study is on its way to the same.
    """
    if stage is Stage.READ:
        return [~is_paused(stage)]
    if stage is not Stage.DELIVER:
        return []
    own_delivery, own_result = delivery.alias("own_delivery"), result.alias("own_result")
    earlier_delivery, earlier_result = delivery.alias("earlier_delivery"), result.alias("earlier_result")
    earlier_job = job.alias("earlier_job")
    has_earlier = exists().where(
        own_delivery.c.id == job.c.delivery_id,
        own_result.c.id == own_delivery.c.result_id,
        earlier_result.c.study_id == own_result.c.study_id,
        earlier_result.c.id < own_result.c.id,
        earlier_delivery.c.result_id == earlier_result.c.id,
        earlier_delivery.c.destination == own_delivery.c.destination,
        earlier_delivery.c.delivered_at.is_(None),
        earlier_job.c.delivery_id == earlier_delivery.c.id,
        earlier_job.c.state.in_([State.WAITING, State.RUNNING]),
    )
    conditions = [~is_paused(stage), ~has_earlier.correlate(job)]
    if is_blocked:
        to_blocked = exists().where(
            delivery.c.id == job.c.delivery_id, delivery.c.destination.in_(bindparam("blocked", expanding=True))
        )
        conditions.append(~to_blocked.correlate(job))
    return conditions
