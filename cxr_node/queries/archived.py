"""Archive keys of films and results, found by row, UID or study."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, case, inspect, select

from cxr_node.db.tables import film, result, study
from cxr_node.domain.identifiers import Digest


class ArchivedFilm(NamedTuple):
    """A film in the archive."""

    archive_key: str
    digest: Digest


class ArchivedResult(NamedTuple):
    """A result, and when retention removed it from the archive, if it did."""

    archive_key: str
    digest: Digest
    removed_at: datetime | None


class NewestFilm(NamedTuple):
    """The newest film of a database: its number, which no later film has, and when it was received."""

    film_id: int
    received_at: datetime


def has_schema(connection: Connection) -> bool:
    """Whether the database has the tables of a node, of whatever version."""
    return inspect(connection).has_table(film.name)


def newest_film(connection: Connection) -> NewestFilm | None:
    """Return the newest film, also if its bytes were removed; None if there is none."""
    row = connection.execute(select(film.c.id, film.c.received_at).order_by(film.c.id.desc()).limit(1)).first()
    return None if row is None else NewestFilm(*row)


def known_digests(connection: Connection, digests: Sequence[Digest]) -> set[Digest]:
    """Return those digests of data sets that a film has."""
    return set(connection.execute(select(film.c.digest).where(film.c.digest.in_(digests))).scalars())


def has_film(connection: Connection, film_id: int) -> bool:
    """Whether there is a film, also a removed one."""
    return connection.execute(select(film.c.id).where(film.c.id == film_id)).first() is not None


def film_in_archive(connection: Connection, film_id: int) -> ArchivedFilm | None:
    """Return a film; None if there is none or its bytes were removed."""
    query = select(film.c.archive_key, film.c.digest).where(film.c.id == film_id, film.c.removed_at.is_(None))
    row = connection.execute(query).first()
    return None if row is None else ArchivedFilm(*row)


def film_numbers(connection: Connection, study_ids: Collection[int]) -> list[int]:
    """Return the numbers of the original films of studies that were not removed."""
    is_kept = film.c.is_original.is_(True), film.c.removed_at.is_(None)
    query = select(film.c.id).where(film.c.study_id.in_(study_ids), *is_kept)
    return list(connection.execute(query).scalars())


def film_key(connection: Connection, film_id: int) -> str:
    """Return the archive key of a film that exists, also of a removed one."""
    key: str = connection.execute(select(film.c.archive_key).where(film.c.id == film_id)).scalar_one()
    return key


def original_film(connection: Connection, sop_instance_uid: str) -> ArchivedFilm | None:
    """Return the film that counts of a SOP Instance UID, also a removed one: the first, or its last correction."""
    query = select(film.c.archive_key, film.c.digest).where(film.c.sop_instance_uid == sop_instance_uid)
    row = connection.execute(query.order_by(film.c.is_original.desc(), film.c.id).limit(1)).first()
    return None if row is None else ArchivedFilm(*row)


def result_in_archive(connection: Connection, result_id: int) -> ArchivedResult | None:
    """Return a result; None if there is none or its bytes were removed."""
    columns = result.c.archive_key, result.c.digest, result.c.removed_at
    row = connection.execute(select(*columns).where(result.c.id == result_id, result.c.removed_at.is_(None))).first()
    return None if row is None else ArchivedResult(*row)


def newest_report(connection: Connection, uid: str, forms: Sequence[str]) -> ArchivedResult | None:
    """Return the result with this SOP Instance UID, or the newest report of this study.

    `forms` are the result kinds that are the report, the best form first; other Structured Reports, such as Chest CAD,
    are none.
    """
    query = (
        select(result.c.archive_key, result.c.digest, result.c.removed_at)
        .join(study, result.c.study_id == study.c.id)
        .where((result.c.sop_instance_uid == uid) | ((study.c.study_instance_uid == uid) & result.c.kind.in_(forms)))
        .order_by(case({form: rank for rank, form in enumerate(forms)}, value=result.c.kind), result.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else ArchivedResult(*row)


def films_of(connection: Connection, study_id: int, sop_instance_uids: Sequence[str]) -> list[int]:
    """Return the numbers of the films of a study with these UIDs; of several copies, that which counts."""
    query = (
        select(film.c.id)
        .where(film.c.study_id == study_id, film.c.sop_instance_uid.in_(sop_instance_uids), film.c.is_original)
        .order_by(film.c.id)
    )
    return list(connection.execute(query).scalars())


def newest_keys(connection: Connection, *, limit: int) -> list[str]:
    """Return the archive keys of the newest films and results, `limit` of each, that were not removed."""
    return [
        key
        for table in (film, result)
        for key in connection.execute(
            select(table.c.archive_key).where(table.c.removed_at.is_(None)).order_by(table.c.id.desc()).limit(limit)
        ).scalars()
    ]
