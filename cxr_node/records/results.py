"""Result objects composed, and their deliveries: one row per result and destination.

Statements that run for every film are built once: building one costs more than running it.
"""

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResult:
    """An archived result to be added, and the destinations that it is to be delivered to.

    `superseded` are the ids of earlier results whose place it takes.
    """

    instance: Instance
    kind: str
    version: int
    archive_key: str
    destinations: Sequence[str]
    superseded: Sequence[int] = ()


IS_WITHDRAWN = exists().where(withdrawal.c.result_id == result.c.id).correlate(result)
"""Condition that a result was withdrawn: it is sent no more."""


def is_own_result(connection: Connection, sop_instance_uid: Uid) -> bool:
    """Whether this node has composed a result with this SOP Instance UID."""
    return connection.execute(_OWN_RESULT, {"uid": sop_instance_uid}).first() is not None


def of_study(connection: Connection, study_id: int) -> list[Result]:
    """Return the results of a study, the oldest first."""
    return [_result(row) for row in connection.execute(_OF_STUDY, {"study_id": study_id}).mappings()]


def of_moved_films(connection: Connection, study_id: int) -> list[Result]:
    """Return the results of other studies on films of which this study has the accepted copy, the oldest first."""
    return [_result(row) for row in connection.execute(_OF_MOVED_FILMS, {"of_study": study_id}).mappings()]


def add(
    transaction: Transaction, study_id: int, new: Sequence[NewResult], *, composed_at: datetime, now: datetime
) -> list[int]:
    """Write archived results of a study, with a delivery and its job for each destination of each; return their ids.

    `composed_at` is the time that the objects have; a film received later is not in them.
    """
    if not new:
        return []
    connection = transaction.connection
    superseded = [result_id for one in new for result_id in one.superseded]
    if superseded:
        earlier = result.c.id.in_(superseded), result.c.superseded_at.is_(None)
        connection.execute(update(result).where(*earlier).values(superseded_at=composed_at))
    rows = [_columns(study_id, one, composed_at) for one in new]
    result_ids = list(connection.execute(_INSERT_RESULTS, rows).scalars())
    deliveries = [
        {"result_id": result_id, "destination": destination, "created_at": now}
        for result_id, one in zip(result_ids, new, strict=True)
        for destination in one.destinations
    ]
    if deliveries:
        delivery_ids = list(connection.execute(_INSERT_DELIVERIES, deliveries).scalars())
        queue.add_of_study(transaction, Stage.DELIVER, delivery_ids, study_id, due_at=now, now=now)
    return result_ids


def _columns(study_id: int, new: NewResult, composed_at: datetime) -> dict[str, object]:
    identity = new.instance.identity
    return {
        "study_id": study_id,
        "kind": new.kind,
        "version": new.version,
        "sop_class_uid": identity.sop_class_uid,
        "sop_instance_uid": identity.sop_instance_uid,
        "series_instance_uid": identity.series_instance_uid,
        "transfer_syntax_uid": new.instance.transfer_syntax_uid,
        "patient_key": identity.patient_key,
        "digest": new.instance.digest,
        "archive_key": new.archive_key,
        "size_bytes": len(new.instance.content),
        "composed_at": composed_at,
    }


def undelivered(connection: Connection, study_id: int) -> frozenset[int]:
    """Return the ids of a study's results that at least one destination does not have yet, and is to have."""
    return frozenset(connection.execute(_UNDELIVERED, {"study_id": study_id}).scalars())


def replace_content(transaction: Transaction, result_id: int, instance: Instance) -> None:
    """Record that the bytes of a result were composed again."""
    transaction.connection.execute(
        update(result).where(result.c.id == result_id).values(digest=instance.digest, size_bytes=len(instance.content))
    )


def get_delivery(connection: Connection, delivery_id: int) -> Delivery:
    """Return the delivery with this id."""
    columns = connection.execute(_DELIVERY, {"delivery_id": delivery_id}).mappings().one()
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
    transaction.connection.execute(_MARK_DELIVERED, {"of_delivery": delivery_id, "of_status": status, "now": now})


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


_OWN_RESULT = select(result.c.id).where(result.c.sop_instance_uid == bindparam("uid"))
_RESULTS = select(result, study.c.study_instance_uid).join(study, result.c.study_id == study.c.id)
_OF_STUDY = _RESULTS.where(result.c.study_id == bindparam("study_id")).order_by(result.c.id)
_HERE, _THERE = film.alias("here"), film.alias("there")
_OF_MOVED_FILMS = _RESULTS.where(
    result.c.study_id.in_(
        select(_THERE.c.study_id)
        .join(_HERE, _HERE.c.sop_instance_uid == _THERE.c.sop_instance_uid)
        .join(job, job.c.film_id == _THERE.c.id)
        .where(
            _HERE.c.study_id == bindparam("of_study"),
            _HERE.c.is_original.is_(True),
            _THERE.c.study_id != bindparam("of_study"),
            _THERE.c.id < _HERE.c.id,
            job.c.state == State.DONE,
        )
    )
).order_by(result.c.id)
_UNDELIVERED = (
    select(result.c.id)
    .join(delivery, delivery.c.result_id == result.c.id)
    .where(result.c.study_id == bindparam("study_id"), delivery.c.delivered_at.is_(None), ~IS_WITHDRAWN)
)
_DELIVERY = (
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
    .where(delivery.c.id == bindparam("delivery_id"))
)
_NOW = bindparam("now", type_=UtcDateTime)
_MARK_DELIVERED = (
    update(delivery)
    .where(delivery.c.id == bindparam("of_delivery"))
    .values(
        delivered_at=_NOW,
        first_delivered_at=func.coalesce(delivery.c.first_delivered_at, delivery.c.delivered_at, _NOW),
        status=bindparam("of_status"),
        confirmed_at=None,
        failure_reason=None,
    )
)
_INSERT_RESULTS = insert(result).returning(result.c.id, sort_by_parameter_order=True)
_INSERT_DELIVERIES = insert(delivery).returning(delivery.c.id, sort_by_parameter_order=True)
