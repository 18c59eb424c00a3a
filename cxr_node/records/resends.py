"""Resend of delivered results: which deliveries of a selection are sent again, and which are not, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, distinct, func, literal, select

from cxr_node.db.database import Transaction
from cxr_node.db.row_ids import RowIds
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import delivery, job, result
from cxr_node.queue import queue


class Standing(StrEnum):
    """Whether a delivery is sent again; the first that applies counts."""

    WAITING = "waiting"
    """It is on its way already, so it is not queued a second time."""
    REMOVED = "removed"
    """The bytes of the result were removed from the archive."""
    SUPERSEDED = "superseded"
    """A later result of the study took its place."""
    AGAIN = "again"
    """It was delivered, and is sent again."""
    NOT_DELIVERED = "not_delivered"
    """It failed or was dismissed: a retry sends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Deliveries; every part that is set restricts them, and one is to be set.

    Parameters
    ----------
    destination
        Name of the destination.
    study_ids, delivery_ids
        Studies of the results, and the deliveries themselves.
    since, until
        Period in which the destination accepted the result.
    """

    destination: str = ""
    study_ids: RowIds | None = None
    delivery_ids: RowIds | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Number of deliveries to a destination of one standing, and of their studies."""

    destination: str
    standing: Standing
    results: int
    studies: int


def groups(connection: Connection, selection: Selection) -> list[Group]:
    """Return the deliveries of a selection by destination and standing."""
    standing = _standing()
    query = select(delivery.c.destination, standing, func.count(), func.count(distinct(result.c.study_id)))
    rows = connection.execute(
        _selected(query, selection)
        .group_by(delivery.c.destination, standing)
        .order_by(delivery.c.destination, standing)
    )
    return [
        Group(destination=name, standing=Standing(value), results=results, studies=studies)
        for name, value, results, studies in rows
    ]


def to_send_again(connection: Connection, selection: Selection) -> list[int]:
    """Return the ids of the deliveries of a selection that are sent again, the oldest first."""
    query = _selected(select(delivery.c.id), selection).where(_standing() == Standing.AGAIN.value)
    return list(connection.execute(query.order_by(delivery.c.id)).scalars())


def send_again(transaction: Transaction, delivery_ids: Sequence[int], *, actor: str, now: datetime) -> int:
    """Queue deliveries again behind all other work; return their number.

    The same instances are sent. One that waits already, or was superseded meanwhile, stays as it is.
    """
    query = _selected(select(job.c.id), Selection(delivery_ids=delivery_ids)).where(_standing() == Standing.AGAIN.value)
    job_ids = list(transaction.connection.execute(query).scalars())
    return len(queue.requeue(transaction, job_ids, actor=actor, now=now, is_background=True))


def _selected(query: Select[Any], selection: Selection) -> Select[Any]:
    query = (
        query.select_from(delivery)
        .join(result, result.c.id == delivery.c.result_id)
        .join(job, job.c.delivery_id == delivery.c.id)
        .where(job.c.stage == Stage.DELIVER)
    )
    if selection.destination:
        query = query.where(delivery.c.destination == selection.destination)
    if selection.study_ids is not None:
        query = query.where(result.c.study_id.in_(selection.study_ids))
    if selection.delivery_ids is not None:
        query = query.where(delivery.c.id.in_(selection.delivery_ids))
    if selection.since is not None:
        query = query.where(delivery.c.delivered_at >= selection.since)
    if selection.until is not None:
        query = query.where(delivery.c.delivered_at < selection.until)
    return query


def _standing() -> ColumnElement[str]:
    return case(
        (job.c.state.in_([State.WAITING, State.RUNNING]), literal(Standing.WAITING.value)),
        (result.c.removed_at.is_not(None), literal(Standing.REMOVED.value)),
        (result.c.superseded_at.is_not(None), literal(Standing.SUPERSEDED.value)),
        (job.c.state == State.DONE, literal(Standing.AGAIN.value)),
        else_=literal(Standing.NOT_DELIVERED.value),
    )
