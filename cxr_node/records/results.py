"""Result objects composed, and their deliveries: one row per result and destination."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, bindparam, exists, func, insert, select, update

from cxr_node.db.correction_tables import withdrawal
from cxr_node.db.database import Transaction
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import UtcDateTime, delivery, film, job, result, study
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Identity, Instance
from cxr_node.queue import queue
from cxr_node.records import identities


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A result. `version` counts the results of one kind and study, from 1; it states the time `composed_at`."""

    result_id: int
    study_id: int
    kind: str
    version: int
    identity: Identity
    transfer_syntax_uid: Uid
    digest: Digest
    archive_key: str
    composed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery of one result to one destination.

    Storage commitment sets `is_confirmed`, or `failure_reason` to the Failure Reason (0008,1197). A result that
    `is_withdrawn` is sent no more.
    """

    delivery_id: int
    destination: str
    result: Result
    is_delivered: bool
    is_confirmed: bool
    failure_reason: int | None
    is_withdrawn: bool = False


IS_WITHDRAWN = exists().where(withdrawal.c.result_id == result.c.id).correlate(result)
"""Condition that a result was withdrawn: it is sent no more."""


def is_own_result(connection: Connection, sop_instance_uid: Uid) -> bool:
    """Whether this node has composed a result with this SOP Instance UID."""
    return connection.execute(_OWN_RESULT, {"uid": sop_instance_uid}).first() is not None


_OWN_RESULT = select(result.c.id).where(result.c.sop_instance_uid == bindparam("uid"))
"""Built once: it runs for every film received."""


def of_study(connection: Connection, study_id: int) -> list[Result]:
    """Return the results of a study, the oldest first."""
    rows = connection.execute(
        select(result, study.c.study_instance_uid)
        .join(study, result.c.study_id == study.c.id)
        .where(result.c.study_id == study_id)
        .order_by(result.c.id)
    )
    return [_result(row) for row in rows.mappings()]


def of_moved_films(connection: Connection, study_id: int) -> list[Result]:
    """Return the results of other studies on films of which this study has the accepted copy, the oldest first."""
    here, there = film.alias("here"), film.alias("there")
    studies = (
        select(there.c.study_id)
        .join(here, here.c.sop_instance_uid == there.c.sop_instance_uid)
        .join(job, job.c.film_id == there.c.id)
        .where(here.c.study_id == study_id, here.c.is_original.is_(True), there.c.study_id != study_id)
        .where(there.c.id < here.c.id, job.c.state == State.DONE)
    )
    rows = connection.execute(
        select(result, study.c.study_instance_uid)
        .join(study, result.c.study_id == study.c.id)
        .where(result.c.study_id.in_(studies))
        .order_by(result.c.id)
    )
    return [_result(row) for row in rows.mappings()]


def add(
    transaction: Transaction,
    study_id: int,
    instance: Instance,
    *,
    kind: str,
    version: int,
    archive_key: str,
    destinations: Iterable[str],
    composed_at: datetime,
    superseded: Sequence[int] = (),
    now: datetime,
) -> int:
    """Write an archived result, and add a delivery with its job for each destination; return its id.

    `composed_at` is the time that the object has; a film received later is not in it. `superseded` are earlier results
    whose place it takes.
    """
    if superseded:
        earlier = result.c.id.in_(superseded), result.c.superseded_at.is_(None)
        transaction.connection.execute(update(result).where(*earlier).values(superseded_at=composed_at))
    result_id: int = transaction.connection.execute(
        insert(result)
        .values(
            study_id=study_id,
            kind=kind,
            version=version,
            sop_class_uid=instance.identity.sop_class_uid,
            sop_instance_uid=instance.identity.sop_instance_uid,
            series_instance_uid=instance.identity.series_instance_uid,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            patient_key=instance.identity.patient_key,
            digest=instance.digest,
            archive_key=archive_key,
            size_bytes=len(instance.content),
            composed_at=composed_at,
        )
        .returning(result.c.id)
    ).scalar_one()
    for destination in destinations:
        delivery_id = transaction.connection.execute(
            insert(delivery)
            .values(result_id=result_id, destination=destination, created_at=now)
            .returning(delivery.c.id)
        ).scalar_one()
        queue.add(transaction, Stage.DELIVER, delivery_id, of_study=study_id, due_at=now, now=now)
    return result_id


def undelivered(connection: Connection, study_id: int) -> frozenset[int]:
    """Return the ids of a study's results that at least one destination does not have yet, and is to have."""
    rows = connection.execute(
        select(result.c.id)
        .join(delivery, delivery.c.result_id == result.c.id)
        .where(result.c.study_id == study_id, delivery.c.delivered_at.is_(None), ~IS_WITHDRAWN)
    )
    return frozenset(rows.scalars())


def replace_content(transaction: Transaction, result_id: int, instance: Instance) -> None:
    """Record that the bytes of a result were composed again."""
    transaction.connection.execute(
        update(result).where(result.c.id == result_id).values(digest=instance.digest, size_bytes=len(instance.content))
    )


def get_delivery(connection: Connection, delivery_id: int) -> Delivery:
    """Return the delivery with this id."""
    rows = connection.execute(
        select(
            result,
            study.c.study_instance_uid,
            delivery.c.destination,
            delivery.c.delivered_at,
            delivery.c.confirmed_at,
            delivery.c.failure_reason,
            IS_WITHDRAWN.label("is_withdrawn"),
        )
        .join(study, result.c.study_id == study.c.id)
        .join(delivery, delivery.c.result_id == result.c.id)
        .where(delivery.c.id == delivery_id)
    )
    columns = rows.mappings().one()
    return Delivery(
        delivery_id=delivery_id,
        destination=columns["destination"],
        result=_result(columns),
        is_delivered=columns["delivered_at"] is not None,
        is_confirmed=columns["confirmed_at"] is not None,
        failure_reason=columns["failure_reason"],
        is_withdrawn=bool(columns["is_withdrawn"]),
    )


def mark_delivered(transaction: Transaction, delivery_id: int, *, status: int, now: datetime) -> None:
    """Record that a destination has accepted a result with a DIMSE status."""
    first = func.coalesce(delivery.c.first_delivered_at, delivery.c.delivered_at, bindparam("now", now, UtcDateTime))
    transaction.connection.execute(
        update(delivery)
        .where(delivery.c.id == delivery_id)
        .values(delivered_at=now, first_delivered_at=first, status=status, confirmed_at=None, failure_reason=None)
    )


def mark_undelivered(transaction: Transaction, delivery_id: int) -> None:
    """Record that a destination does not have a result that it had accepted, so that it is sent again."""
    transaction.connection.execute(
        update(delivery).where(delivery.c.id == delivery_id).values(delivered_at=None, failure_reason=None)
    )


def clear_failure_reason(transaction: Transaction, delivery_id: int) -> None:
    """Clear a Failure Reason that is temporary, so that storage commitment is requested again."""
    transaction.connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(failure_reason=None))


def _result(columns: RowMapping) -> Result:
    return Result(
        result_id=columns["id"],
        study_id=columns["study_id"],
        kind=columns["kind"],
        version=columns["version"],
        identity=identities.of_row(columns),
        transfer_syntax_uid=Uid(columns["transfer_syntax_uid"]),
        digest=Digest(columns["digest"]),
        archive_key=columns["archive_key"],
        composed_at=columns["composed_at"],
    )
