"""Storage commitment requests of peers, and the stored instances that they name (PS3.4 annex J)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import ENDED, Stage
from cxr_node.db.tables import commitment, film, job, result
from cxr_node.domain.commitment import Reference
from cxr_node.domain.identifiers import AeTitle, Digest, Uid
from cxr_node.domain.instance import Sender
from cxr_node.queue import queue


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """A request of a peer for instances. `is_reported` once the peer has accepted the N-EVENT-REPORT."""

    commitment_id: int
    transaction_uid: Uid
    calling_ae_title: AeTitle
    address: str
    instances: tuple[Reference, ...]
    is_reported: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstance:
    """A film or result stored under a SOP Instance UID."""

    sop_class_uid: Uid
    archive_key: str
    digest: Digest
    size_bytes: int
    sender: tuple[str, ...]
    """AE title and network address of the sender of a film; empty for a result."""


class OtherRequest(Exception):
    """The peer has used this Transaction UID (0008,1195) for other instances."""


def store(
    database: Database,
    transaction_uid: Uid,
    instances: tuple[Reference, ...],
    sender: Sender,
    *,
    due_at: datetime,
    now: datetime,
) -> int:
    """Write a request and add its commit job; return its id. A repeated request is reported again.

    Raises
    ------
    OtherRequest
        If the peer has used the Transaction UID for other instances.
    """
    try:
        with database.write() as transaction:
            return _store(transaction, transaction_uid, instances, sender, due_at=due_at, now=now)
    except IntegrityError:  # another process has written the same request meanwhile
        with database.write() as transaction:
            return _store(transaction, transaction_uid, instances, sender, due_at=due_at, now=now)


def get(connection: Connection, commitment_id: int) -> CommitmentRequest:
    """Return the request with this id."""
    columns = connection.execute(select(commitment).where(commitment.c.id == commitment_id)).mappings().one()
    return CommitmentRequest(
        commitment_id=commitment_id,
        transaction_uid=Uid(columns["transaction_uid"]),
        calling_ae_title=AeTitle(columns["calling_ae_title"]),
        address=columns["address"],
        instances=tuple(
            Reference(sop_class_uid=Uid(sop_class), sop_instance_uid=Uid(sop_instance))
            for sop_class, sop_instance in columns["instances"]
        ),
        is_reported=columns["reported_at"] is not None,
    )


def mark_reported(transaction: Transaction, commitment_id: int, *, now: datetime) -> None:
    """Record that the peer has accepted the report."""
    transaction.connection.execute(update(commitment).where(commitment.c.id == commitment_id).values(reported_at=now))


def held(connection: Connection, sop_instance_uid: Uid) -> list[HeldInstance]:
    """Return the films and results under a SOP Instance UID that were not removed."""
    films = _rows(connection, film, sop_instance_uid, film.c.calling_ae_title, film.c.address)
    return [*films, *_rows(connection, result, sop_instance_uid)]


def _rows(connection: Connection, table: Table, uid: Uid, *sender: Column[str]) -> list[HeldInstance]:
    rows = connection.execute(
        select(table.c.sop_class_uid, table.c.archive_key, table.c.digest, table.c.size_bytes, *sender).where(
            table.c.sop_instance_uid == uid, table.c.removed_at.is_(None)
        )
    )
    return [
        HeldInstance(
            sop_class_uid=Uid(sop_class),
            archive_key=key,
            digest=Digest(digest),
            size_bytes=size,
            sender=tuple(received_from),
        )
        for sop_class, key, digest, size, *received_from in rows
    ]


def _store(
    transaction: Transaction,
    transaction_uid: Uid,
    instances: tuple[Reference, ...],
    sender: Sender,
    *,
    due_at: datetime,
    now: datetime,
) -> int:
    uids = [[reference.sop_class_uid, reference.sop_instance_uid] for reference in instances]
    row = transaction.connection.execute(
        select(commitment.c.id, commitment.c.instances, job.c.id, job.c.state)
        .join(job, job.c.commitment_id == commitment.c.id)
        .where(
            commitment.c.calling_ae_title == sender.calling_ae_title, commitment.c.transaction_uid == transaction_uid
        )
    ).first()
    if row is None:
        request = {
            "transaction_uid": transaction_uid,
            "calling_ae_title": sender.calling_ae_title,
            "address": sender.address,
            "instances": uids,
            "requested_at": now,
        }
        added = transaction.connection.execute(insert(commitment).values(request).returning(commitment.c.id))
        new_id: int = added.scalar_one()
        queue.add(transaction, Stage.COMMIT, new_id, of_study=None, due_at=due_at, now=now)
        return new_id
    commitment_id, instances_before, job_id, state = row
    if instances_before != uids:
        raise OtherRequest(f"transaction {transaction_uid} is of other instances")
    transaction.connection.execute(update(commitment).where(commitment.c.id == commitment_id).values(reported_at=None))
    if state in ENDED:
        queue.requeue(transaction, [job_id], actor=f"peer/{sender.calling_ae_title}", now=now)
    return int(commitment_id)
