"""Retention: studies that can be removed, and files of the archive. A row is marked before its file is deleted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Exists, Table, and_, delete, exists, func, or_, select, update

from cxr_node.db.correction_tables import rejection_note, withdrawal
from cxr_node.db.database import Transaction
from cxr_node.db.point_tables import embedding
from cxr_node.db.states import State
from cxr_node.db.tables import delivery, film, finding, heat_map, job, reading, result, study
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.reasons import Reason
from cxr_node.domain.rejection_titles import RejectionTitle
from cxr_node.records import film_attributes
from cxr_node.records.results import IS_WITHDRAWN


class ArchiveFileKind(StrEnum):
    """What a file in the archive holds."""

    FILM = "film"
    RESULT = "result"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFile:
    """A file of the archive, as its row describes it."""

    kind: ArchiveFileKind
    row_id: int
    study_id: int
    archive_key: str
    digest: Digest
    size_bytes: int


_TABLES = {ArchiveFileKind.FILM: film, ArchiveFileKind.RESULT: result}
_FLAGS = (Reason.DUPLICATE, Reason.CORRECTION)
_SUCCESSFUL = (State.DONE, State.NOT_ANALYSED, State.DISMISSED)


def mark_removed(transaction: Transaction, *, before: datetime, now: datetime, limit: int = 100) -> int:
    """Mark films and results of up to `limit` studies as removed; return the number of studies.

    Identifiers, heat maps and embeddings are deleted at once: they name the patient, show the film, or can be compared
    with others of the patient. Equipment, findings, points and measurements stay.

    A study can be removed when every film was received, and every job ended, before `before`; when every job was
    successful; and when each result that was not withdrawn is delivered, at least one of them. A study with another
    film under a known SOP Instance UID, or with a correction that nobody accepted, stays.
    """
    ids = transaction.connection.execute(select(study.c.id).where(*_is_removable(before)).limit(limit)).scalars().all()
    _mark(transaction, result, result.c.study_id.in_(ids), now=now)
    _mark_films(transaction, film.c.study_id.in_(ids), now=now)
    return len(ids)


def mark_films_removed(transaction: Transaction, film_ids: Sequence[int], *, now: datetime) -> None:
    """Mark films as removed whose retention has expired elsewhere; what names or shows the patient is deleted."""
    _mark_films(transaction, film.c.id.in_(film_ids), now=now)


def mark_results_removed(transaction: Transaction, study_id: int, *, now: datetime) -> None:
    """Mark the results of a study as removed that were withdrawn because their retention has expired elsewhere.

    A rejection note on them is marked once every destination has it.
    """
    is_expired = withdrawal.c.title == RejectionTitle.RETENTION
    expired = result.c.id.in_(select(withdrawal.c.result_id).where(is_expired))
    notes = result.c.id.in_(select(withdrawal.c.note_id).where(is_expired, withdrawal.c.note_id.is_not(None)))
    to_send = exists().where(
        delivery.c.result_id == result.c.id, job.c.delivery_id == delivery.c.id, job.c.state.not_in(_SUCCESSFUL)
    )
    is_removed = or_(expired, and_(notes, ~to_send.correlate(result)))
    _mark(transaction, result, (result.c.study_id == study_id) & is_removed, now=now)


def is_note_of_expired(connection: Connection, result_id: int) -> bool:
    """Whether a result is a rejection note on results whose retention has expired elsewhere."""
    of_note = withdrawal.c.note_id == result_id, withdrawal.c.title == RejectionTitle.RETENTION
    return connection.execute(select(withdrawal.c.id).where(*of_note).limit(1)).first() is not None


def remove_note_bytes(transaction: Transaction, *, before: datetime) -> None:
    """Remove the bytes of rejection notes received before a time: they name the patient. What they reject stays."""
    is_old = rejection_note.c.received_at < before, func.length(rejection_note.c.content) > 0
    transaction.connection.execute(update(rejection_note).where(*is_old).values(content=b""))


def removed_of_study(connection: Connection, study_id: int) -> list[ArchiveFile]:
    """Return the files of a study that were marked as removed."""
    return [
        file
        for kind, table in _TABLES.items()
        for file in _files(connection, kind, (table.c.study_id == study_id) & table.c.removed_at.is_not(None))
    ]


def _mark_films(transaction: Transaction, condition: ColumnElement[bool], *, now: datetime) -> None:
    _mark(transaction, film, condition, now=now)
    film_attributes.delete_identifiers(transaction.connection, select(film.c.id).where(condition))
    reading_ids = select(reading.c.id).join(film, film.c.id == reading.c.film_id).where(condition)
    finding_ids = select(finding.c.id).where(finding.c.reading_id.in_(reading_ids))
    transaction.connection.execute(delete(heat_map).where(heat_map.c.finding_id.in_(finding_ids)))
    transaction.connection.execute(delete(embedding).where(embedding.c.reading_id.in_(reading_ids)))


def _mark(transaction: Transaction, table: Table, condition: ColumnElement[bool], *, now: datetime) -> None:
    transaction.connection.execute(update(table).where(condition, table.c.removed_at.is_(None)).values(removed_at=now))


def count_removable(connection: Connection, *, before: datetime) -> int:
    """Return the number of studies that `mark_removed` would mark."""
    return connection.execute(select(func.count()).select_from(study).where(*_is_removable(before))).scalar_one()


def removed_since(connection: Connection, *, since: datetime) -> list[ArchiveFile]:
    """Return the files that were marked as removed since a time."""
    return [file for kind in ArchiveFileKind for file in _files(connection, kind, _TABLES[kind].c.removed_at >= since)]


def remove(transaction: Transaction, file: ArchiveFile, discard: Callable[[str], None]) -> None:
    """Call `discard` with the key of a file marked as removed, unless the film was received again meanwhile.

    The row stays locked until the file is deleted, so that a film received again finds both or neither.
    """
    table = _TABLES[file.kind]
    locked = transaction.connection.execute(
        update(table)
        .where(table.c.id == file.row_id, table.c.removed_at.is_not(None))
        .values(removed_at=table.c.removed_at)
        .returning(table.c.id)
    )
    if locked.first() is not None:
        discard(file.archive_key)


def files_after(connection: Connection, kind: ArchiveFileKind, row_id: int, *, limit: int) -> list[ArchiveFile]:
    """Return the next files after a row, in the order of rows."""
    table = _TABLES[kind]
    return _files(connection, kind, table.c.removed_at.is_(None) & (table.c.id > row_id), limit=limit)


def _files(
    connection: Connection, kind: ArchiveFileKind, condition: ColumnElement[bool], *, limit: int | None = None
) -> list[ArchiveFile]:
    table = _TABLES[kind]
    columns = (table.c.id, table.c.study_id, table.c.archive_key, table.c.digest, table.c.size_bytes)
    rows = connection.execute(select(*columns).where(condition).order_by(table.c.id).limit(limit))
    return [
        ArchiveFile(
            kind=kind, row_id=row_id, study_id=study_id, archive_key=key, digest=Digest(digest), size_bytes=size
        )
        for row_id, study_id, key, digest, size in rows
    ]


def _is_removable(before: datetime) -> list[ColumnElement[bool]]:
    in_study = film.c.study_id == study.c.id
    is_delivery = (result.c.study_id == study.c.id) & (delivery.c.result_id == result.c.id)
    unfinished = or_(job.c.state.not_in(_SUCCESSFUL), job.c.ended_at >= before)
    is_recent_or_flagged = or_(
        func.coalesce(film.c.received_again_at, film.c.received_at) >= before,
        exists().where(job.c.film_id == film.c.id, job.c.reason.in_(_FLAGS)).correlate(film),
    )
    return [
        _exists(in_study, film.c.removed_at.is_(None)),
        ~_exists(in_study, is_recent_or_flagged),
        ~_exists(in_study, job.c.film_id == film.c.id, unfinished),
        ~_exists(job.c.study_id == study.c.id, unfinished),
        ~_exists(is_delivery, job.c.delivery_id == delivery.c.id, unfinished),
        ~_exists(is_delivery, delivery.c.delivered_at.is_(None), ~IS_WITHDRAWN),
        _exists(is_delivery),
    ]


def _exists(*conditions: ColumnElement[bool]) -> Exists:
    return exists().where(*conditions).correlate(study)
