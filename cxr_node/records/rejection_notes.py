"""Rejection notes of peers and of persons: films that are hidden, and instances that are refused from then on."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from cxr_node.db.correction_tables import rejected_film, rejected_instance, rejection_note
from cxr_node.db.database import Database, Deadlock, Transaction
from cxr_node.db.tables import film, job, study
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import AeTitle, Digest, Uid
from cxr_node.domain.instance import Received, Sender
from cxr_node.domain.reasons import Reason
from cxr_node.domain.rejection_titles import NoteScope, RejectedInstance, RejectionNote, RejectionTitle
from cxr_node.queue import queue
from cxr_node.records import retention, withdrawals

REFUSED_AFTER = frozenset({RejectionTitle.SAFETY, RejectionTitle.WORKLIST})
"""Titles whose instances are refused once they were rejected; of the others an instance may come again."""

_ATTEMPTS = 5
_BATCH = 100


class InstanceRejected(RejectObject):
    """A rejection note has withdrawn the SOP Instance UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRejection:
    """The rejection of an instance; `is_applied` states whether a film of it was received and rejected."""

    rejection_id: int
    title: RejectionTitle
    is_applied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A rejection of an instance: by whom, and why in words without patient data."""

    title: RejectionTitle
    detail: str
    by: str
    at: datetime
    only_from: AeTitle | None = None
    """The sender whose films alone are meant; None for those of any."""


def store(
    database: Database,
    note: RejectionNote,
    received: Received,
    sender: Sender,
    *,
    content: bytes,
    scope: NoteScope = NoteScope.EVERY_FILM,
    now: datetime,
) -> bool:
    """Write a received note and apply it to the films that are here; return False if it was known already.

    With the scope of own films it concerns those of its sender alone, also those that come later.

    Raises
    ------
    RejectObject
        If it names a film of another sender although its scope is own films: nothing of it is applied.
    """
    for _ in range(_ATTEMPTS):
        try:
            with database.write() as transaction:
                return _store(
                    transaction,
                    note,
                    received,
                    sender,
                    content=content,
                    only_from=sender.calling_ae_title if scope is NoteScope.OWN_FILMS else None,
                    now=now,
                )
        except (IntegrityError, Deadlock):
            continue  # another process has written the same note meanwhile
    raise RuntimeError("the row of the note conflicted at every attempt")


def _store(
    transaction: Transaction,
    note: RejectionNote,
    received: Received,
    sender: Sender,
    *,
    content: bytes,
    only_from: AeTitle | None,
    now: datetime,
) -> bool:
    connection = transaction.connection
    uid, digest = received.identity.sop_instance_uid, received.digest
    known = select(rejection_note.c.id).where(
        rejection_note.c.sop_instance_uid == uid, rejection_note.c.digest == digest
    )
    if connection.execute(known).first() is not None:
        return False
    columns = {"calling_ae_title": sender.calling_ae_title, "address": sender.address, "received_at": now}
    note_id = connection.execute(
        insert(rejection_note)
        .values(sop_instance_uid=uid, digest=digest, title=note.title, content=content, **columns)
        .returning(rejection_note.c.id)
    ).scalar_one()
    rejection = Rejection(
        title=note.title,
        detail=f"rejection note {uid}",
        by=f"peer/{sender.calling_ae_title}",
        at=now,
        only_from=only_from,
    )
    if _has_others(_named(connection, note.instances), only_from):
        raise RejectObject("the rejection note names films of another sender, and corrections.notes_from is empty")
    _reject(transaction, note.instances, rejection, note_id=note_id)
    return True


def reject(transaction: Transaction, instances: Sequence[RejectedInstance], rejection: Rejection) -> list[int]:
    """Reject instances as a person says; return the numbers of the films that are hidden now."""
    return _reject(transaction, instances, rejection, note_id=None)


def lift(transaction: Transaction, study_id: int, *, actor: str, now: datetime) -> list[int]:
    """Show the rejected films of a study again, and have them read; return their numbers.

    Their UIDs are refused no more. A film whose bytes were removed stays as it is.
    """
    connection = transaction.connection
    withdrawals.lock(transaction, [study_id])
    rows = connection.execute(
        select(film.c.id, film.c.sop_instance_uid, job.c.id)
        .join(rejected_film, rejected_film.c.film_id == film.c.id)
        .join(job, job.c.film_id == film.c.id)
        .where(film.c.study_id == study_id, film.c.removed_at.is_(None))
        .order_by(film.c.id)
    ).all()
    ids = [film_id for film_id, _, _ in rows]
    uids = [uid for _, uid, _ in rows]
    of_uids = rejected_instance.c.sop_instance_uid.in_(uids), rejected_instance.c.lifted_at.is_(None)
    connection.execute(update(rejected_instance).where(*of_uids).values(lifted_at=now))
    _show(transaction, ids, actor=actor, now=now)
    return ids


def check(rejections: Iterable[KnownRejection]) -> None:
    """Raise InstanceRejected if an instance with these rejections is refused."""
    if any(one.is_applied and one.title in REFUSED_AFTER for one in rejections):
        raise InstanceRejected("a rejection note has withdrawn this SOP Instance UID")


def come_again(transaction: Transaction, sop_instance_uid: Uid, digest: Digest, *, now: datetime) -> bool:
    """Make room for an instance that comes again after its rejection; return whether its films were all hidden.

    The same bytes are shown and read again. The bytes that come become the original if all films were hidden; if not,
    they are compared with the original as any other copy.
    """
    connection = transaction.connection
    rows = connection.execute(
        select(film.c.id, film.c.digest, rejected_film.c.id.label("rejected_id"))
        .outerjoin(rejected_film, rejected_film.c.film_id == film.c.id)
        .where(film.c.sop_instance_uid == sop_instance_uid)
    ).all()
    are_hidden = bool(rows) and all(row.rejected_id is not None for row in rows)
    same = [row.id for row in rows if row.digest == digest and row.rejected_id is not None]
    if are_hidden:
        connection.execute(update(film).where(film.c.id.in_([row.id for row in rows])).values(is_original=False))
        connection.execute(update(film).where(film.c.id.in_(same)).values(is_original=True))
    _show(transaction, same, actor="", now=now)
    return are_hidden


def lock_studies(transaction: Transaction, sop_instance_uid: Uid, study_instance_uid: Uid) -> None:
    """Lock the studies that may change when an instance of this UID and study comes again after its rejection."""
    of_films = select(film.c.study_id).where(film.c.sop_instance_uid == sop_instance_uid)
    own = select(study.c.id).where(study.c.study_instance_uid == study_instance_uid)
    connection = transaction.connection
    withdrawals.lock(transaction, [*connection.execute(of_films).scalars(), *connection.execute(own).scalars()])


def on_arrival(transaction: Transaction, rejections: Iterable[KnownRejection]) -> None:
    """Apply rejections that came before their instance, which was just written."""
    ids = [one.rejection_id for one in rejections if not one.is_applied]
    if ids:
        _apply(transaction, rejected_instance.c.id.in_(ids))


def apply_pending(database: Database) -> None:
    """Apply rejections to films that were received at the same moment, by another process."""
    with database.read() as connection:
        waiting = select(rejected_instance.c.id).where(*_IS_PENDING, _IS_HERE, ~_NAMES_OTHERS)
        ids = list(connection.execute(waiting.limit(_BATCH)).scalars())
    for rejection_id in ids:  # each in its own transaction, which locks its studies in their order
        with database.write() as transaction:
            _apply(transaction, rejected_instance.c.id == rejection_id)


def _apply(transaction: Transaction, condition: ColumnElement[bool]) -> None:
    for row in transaction.connection.execute(select(rejected_instance).where(condition, *_IS_PENDING)).all():
        instance = RejectedInstance(
            study_instance_uid=Uid(row.study_instance_uid), sop_instance_uid=Uid(row.sop_instance_uid)
        )
        rejection = Rejection(
            title=RejectionTitle(row.title),
            detail=row.detail,
            by=row.rejected_by,
            at=row.rejected_at,
            only_from=row.only_from,
        )
        rows = _named(transaction.connection, [instance])
        if rows and not _has_others(rows, rejection.only_from):
            _hide(transaction, rows, rejection)
            applied = update(rejected_instance).where(rejected_instance.c.id == row.id)
            transaction.connection.execute(applied.values(applied_at=row.rejected_at))


def _reject(
    transaction: Transaction, instances: Sequence[RejectedInstance], rejection: Rejection, *, note_id: int | None
) -> list[int]:
    films = _named(transaction.connection, instances)
    here = {row.sop_instance_uid for row in films}
    hidden = _hide(transaction, films, rejection)
    rows = [
        {
            "note_id": note_id,
            "sop_instance_uid": instance.sop_instance_uid,
            "study_instance_uid": instance.study_instance_uid,
            "title": rejection.title,
            "detail": rejection.detail,
            "rejected_by": rejection.by,
            "rejected_at": rejection.at,
            "applied_at": rejection.at if instance.sop_instance_uid in here else None,
            "only_from": rejection.only_from,
        }
        for instance in instances
    ]
    transaction.connection.execute(insert(rejected_instance), rows)
    return hidden


def _hide(transaction: Transaction, films: Sequence[Any], rejection: Rejection) -> list[int]:
    """Hide those of films that are shown, and withdraw the results of their studies; return their numbers."""
    connection, now = transaction.connection, rejection.at
    rows = [row for row in films if not row.is_hidden]
    if not rows:
        return []
    ids = [row.id for row in rows]
    withdrawals.lock(transaction, [row.study_id for row in rows])
    columns = {"title": rejection.title, "rejected_by": rejection.by, "rejected_at": now}
    connection.execute(insert(rejected_film), [{"film_id": film_id, **columns} for film_id in ids])
    job_ids = [row.job_id for row in rows]
    queue.dismiss(transaction, job_ids, reason=None, detail=rejection.detail, actor=rejection.by, now=now)
    if rejection.title is RejectionTitle.RETENTION:
        retention.mark_films_removed(transaction, ids, now=now)
    reported = {row.study_id for row in rows if row.is_original or row.reason == Reason.DUPLICATE}
    for study_id in sorted(reported):
        withdrawals.withdraw(
            transaction, study_id, rejection.title, detail=rejection.detail, actor=rejection.by, now=now
        )
    return ids


def _named(connection: Connection, instances: Sequence[RejectedInstance]) -> list[Any]:
    """Return the films of instances, hidden ones too: of each those of its study, or else those of any."""
    uids = list(dict.fromkeys(instance.sop_instance_uid for instance in instances))
    by_uid: defaultdict[str, list[Any]] = defaultdict(list)
    for first in range(0, len(uids), _BATCH):
        for row in connection.execute(_OF_UIDS, {"uids": uids[first : first + _BATCH]}):
            by_uid[row.sop_instance_uid].append(row)
    named: dict[int, Any] = {}
    for instance in instances:
        rows = by_uid[instance.sop_instance_uid]
        of_study = [row for row in rows if row.study_instance_uid == instance.study_instance_uid]
        named |= {row.id: row for row in of_study or rows}
    return list(named.values())


def _has_others(films: Sequence[Any], only_from: AeTitle | None) -> bool:
    """Whether one of films is not of the sender whose films alone are meant."""
    return only_from is not None and any(row.calling_ae_title != only_from for row in films)


def _show(transaction: Transaction, film_ids: Sequence[int], *, actor: str, now: datetime) -> None:
    """Show films again, and have them read."""
    transaction.connection.execute(delete(rejected_film).where(rejected_film.c.film_id.in_(film_ids)))
    job_ids = list(transaction.connection.execute(select(job.c.id).where(job.c.film_id.in_(film_ids))).scalars())
    queue.requeue(transaction, job_ids, actor=actor, now=now)


_IS_PENDING = (rejected_instance.c.applied_at.is_(None), rejected_instance.c.lifted_at.is_(None))
_IS_HERE = exists().where(film.c.sop_instance_uid == rejected_instance.c.sop_instance_uid).correlate(rejected_instance)


def _names_others() -> ColumnElement[bool]:
    """Return whether `_has_others` holds of the films that `_named` returns for a rejection: it never applies then."""
    named, its_study, of_study, that_study = (film.alias(), study.alias(), film.alias(), study.alias())
    is_of_study = exists().where(
        of_study.c.sop_instance_uid == rejected_instance.c.sop_instance_uid,
        that_study.c.id == of_study.c.study_id,
        that_study.c.study_instance_uid == rejected_instance.c.study_instance_uid,
    )
    return (
        exists()
        .where(
            named.c.sop_instance_uid == rejected_instance.c.sop_instance_uid,
            named.c.calling_ae_title != rejected_instance.c.only_from,
            its_study.c.id == named.c.study_id,
            or_(
                its_study.c.study_instance_uid == rejected_instance.c.study_instance_uid,
                ~is_of_study.correlate(rejected_instance),
            ),
        )
        .correlate(rejected_instance)
    )


_NAMES_OTHERS = _names_others()
_OF_UIDS = (
    select(
        film.c.id,
        film.c.study_id,
        film.c.sop_instance_uid,
        film.c.is_original,
        film.c.calling_ae_title,
        study.c.study_instance_uid,
        job.c.id.label("job_id"),
        job.c.reason,
        exists().where(rejected_film.c.film_id == film.c.id).correlate(film).label("is_hidden"),
    )
    .join(study, study.c.id == film.c.study_id)
    .join(job, job.c.film_id == film.c.id)
    .where(film.c.sop_instance_uid.in_(bindparam("uids", expanding=True)))
    .order_by(film.c.id)
)
