"""What may be removed from the archive, and what is kept there: rows say it, and say it before a file goes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Exists, delete, exists, func, or_, select, update

from cxr_node.db.database import Transaction
from cxr_node.db.states import State
from cxr_node.db.tables import delivery, film, finding, heat_map, job, reading, result, study
from cxr_node.domain.identifiers import Digest


class ArchiveFileKind(StrEnum):
    """Whose bytes a file holds."""

    FILM = "film"
    RESULT = "result"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFile:
    """A file of the archive by its row."""

    kind: ArchiveFileKind
    row_id: int
    study_id: int
    archive_key: str
    digest: Digest
    size_bytes: int


_TABLES = {ArchiveFileKind.FILM: film, ArchiveFileKind.RESULT: result}
_ENDED_WELL = (State.DONE, State.NOT_ANALYSED)


def mark_removed(transaction: Transaction, *, before: datetime, now: datetime, limit: int = 100) -> int:
    """Mark films and results of up to `limit` studies as removed; return how many studies those are.

    Their heat maps, which are pictures of them, go at once; what was found and measured stays.

    A study may go when all of it is older than `before`: every film, and the end of every job. Every job ended well,
    each result arrived at each of its destinations, and there is one at least. A study with
    a film that a person must look at stays.
    """
    ids = transaction.connection.execute(select(study.c.id).where(*_may_go(before)).limit(limit)).scalars().all()
    for table in (film, result):
        transaction.connection.execute(
            update(table).where(table.c.study_id.in_(ids), table.c.removed_at.is_(None)).values(removed_at=now)
        )
    of_them = (
        select(finding.c.id)
        .join(reading, reading.c.id == finding.c.reading_id)
        .join(film, film.c.id == reading.c.film_id)
        .where(film.c.study_id.in_(ids))
    )
    transaction.connection.execute(delete(heat_map).where(heat_map.c.finding_id.in_(of_them)))
    return len(ids)


def count_removable(connection: Connection, *, before: datetime) -> int:
    """Return how many studies may go, as `mark` would find them."""
    return connection.execute(select(func.count()).select_from(study).where(*_may_go(before))).scalar_one()


def removed_since(connection: Connection, *, since: datetime) -> list[ArchiveFile]:
    """Return the files whose rows say that they were removed at that time or later."""
    return [each for of in ArchiveFileKind for each in _kept(connection, of, _TABLES[of].c.removed_at >= since)]


def remove(transaction: Transaction, kept: ArchiveFile, discard: Callable[[str], None]) -> None:
    """Call `discard` for a file whose row says that it was removed, unless the film has come again meanwhile.

    The row is held while the file goes, so that a film that comes again finds either both or none.
    """
    table = _TABLES[kept.kind]
    still = transaction.connection.execute(
        update(table)
        .where(table.c.id == kept.row_id, table.c.removed_at.is_not(None))
        .values(removed_at=table.c.removed_at)
        .returning(table.c.id)
    )
    if still.first() is not None:
        discard(kept.archive_key)


def files_after(connection: Connection, of: ArchiveFileKind, row_id: int, *, limit: int) -> list[ArchiveFile]:
    """Return the next files after a row, in the order of rows."""
    table = _TABLES[of]
    return _kept(connection, of, table.c.removed_at.is_(None) & (table.c.id > row_id), limit=limit)


def _kept(
    connection: Connection, of: ArchiveFileKind, which: ColumnElement[bool], *, limit: int | None = None
) -> list[ArchiveFile]:
    table = _TABLES[of]
    columns = (table.c.id, table.c.study_id, table.c.archive_key, table.c.digest, table.c.size_bytes)
    rows = connection.execute(select(*columns).where(which).order_by(table.c.id).limit(limit))
    return [
        ArchiveFile(kind=of, row_id=row_id, study_id=study_id, archive_key=key, digest=Digest(digest), size_bytes=size)
        for row_id, study_id, key, digest, size in rows
    ]


def _may_go(before: datetime) -> list[ColumnElement[bool]]:
    of_study = film.c.study_id == study.c.id
    sent = (result.c.study_id == study.c.id) & (delivery.c.result_id == result.c.id)
    unfinished = or_(job.c.state.not_in(_ENDED_WELL), job.c.ended_at >= before)
    needs_a_person = or_(
        func.coalesce(film.c.received_again_at, film.c.received_at) >= before, film.c.is_original.is_(False)
    )
    return [
        _there_is(of_study, film.c.removed_at.is_(None)),
        ~_there_is(of_study, needs_a_person),
        ~_there_is(of_study, job.c.film_id == film.c.id, unfinished),
        ~_there_is(job.c.study_id == study.c.id, unfinished),
        ~_there_is(sent, job.c.delivery_id == delivery.c.id, unfinished),
        ~_there_is(sent, delivery.c.delivered_at.is_(None)),
        _there_is(sent),
    ]


def _there_is(*conditions: ColumnElement[bool]) -> Exists:
    return exists().where(*conditions).correlate(study)
