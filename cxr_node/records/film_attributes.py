"""Attributes of films: equipment in the row of the film, identifiers in a table of their own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from sqlalchemy import Connection, Select, delete, insert, select, update

from cxr_node.db.database import Transaction
from cxr_node.db.identifier_tables import film_identifiers
from cxr_node.db.tables import film, study
from cxr_node.domain.film_attributes import Equipment, FilmAttributes, FilmIdentifiers
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.instance import Identity
from cxr_node.records import identities

_EQUIPMENT = tuple(field.name for field in fields(Equipment))
_IDENTIFIERS = tuple(field.name for field in fields(FilmIdentifiers))
_NOT_READ: Mapping[str, str | None] = dict.fromkeys(_EQUIPMENT)
_NONE = FilmIdentifiers()


def equipment_columns(attributes: FilmAttributes | None) -> Mapping[str, str | None]:
    """Return the columns of a film's equipment: NULL where it is absent.

    The modality is NULL only while no header was read, and empty where the header has none: `unread` looks for NULL.
    """
    if attributes is None:
        return _NOT_READ
    equipment = attributes.equipment
    return {**{name: getattr(equipment, name) or None for name in _EQUIPMENT}, "modality": equipment.modality}


def insert_identifiers(connection: Connection, films: Iterable[tuple[int, FilmAttributes | None]]) -> None:
    """Write the identifiers of films without them, in one statement; a film without any has no row."""
    rows = [
        {"film_id": film_id, **{name: getattr(attributes.identifiers, name) or None for name in _IDENTIFIERS}}
        for film_id, attributes in films
        if attributes is not None and attributes.identifiers not in (None, _NONE)
    ]
    if rows:
        connection.execute(_INSERT, rows)


def delete_identifiers(connection: Connection, film_ids: Select[tuple[int]]) -> None:
    """Delete the identifiers of the films that a query selects."""
    connection.execute(delete(film_identifiers).where(film_identifiers.c.film_id.in_(film_ids)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadFilm:
    """A film in the archive whose attributes were not read: an older version received it."""

    film_id: int
    identity: Identity
    transfer_syntax_uid: Uid
    archive_key: str
    calling_ae_title: AeTitle


def unread(connection: Connection, *, limit: int, before: int | None = None) -> list[UnreadFilm]:
    """Return films whose attributes were not read, the newest first; those received before the film `before`."""
    query = _UNREAD if before is None else _UNREAD.where(film.c.id < before)
    rows = connection.execute(query.limit(limit)).mappings()
    return [
        UnreadFilm(
            film_id=row[film.c.id],
            identity=identities.of_row(row),
            transfer_syntax_uid=Uid(row[film.c.transfer_syntax_uid]),
            archive_key=row[film.c.archive_key],
            calling_ae_title=AeTitle(row[film.c.calling_ae_title]),
        )
        for row in rows
    ]


def fill(transaction: Transaction, film_id: int, attributes: FilmAttributes) -> None:
    """Write the attributes of a film of `unread`, unless its bytes were removed meanwhile."""
    # The update locks the row, which retention updates too before it deletes identifiers.
    is_unread = film.c.id == film_id, film.c.removed_at.is_(None), film.c.modality.is_(None)
    filled = update(film).where(*is_unread).values(equipment_columns(attributes)).returning(film.c.id)
    if transaction.connection.execute(filled).first() is not None:
        insert_identifiers(transaction.connection, [(film_id, attributes)])


def forget_identifiers(transaction: Transaction, *, limit: int) -> int:
    """Delete the identifiers of up to `limit` films; return their number."""
    some = select(film_identifiers.c.film_id).limit(limit)
    forgotten = delete(film_identifiers).where(film_identifiers.c.film_id.in_(some))
    return transaction.connection.execute(forgotten).rowcount


def forget_names(transaction: Transaction, *, limit: int) -> int:
    """Delete the Patient's Name of up to `limit` films; return their number."""
    named = select(film_identifiers.c.film_id).where(film_identifiers.c.patient_name.is_not(None)).limit(limit)
    forgotten = update(film_identifiers).where(film_identifiers.c.film_id.in_(named)).values(patient_name=None)
    return transaction.connection.execute(forgotten).rowcount


_UNREAD = (
    select(
        film.c.id,
        film.c.sop_class_uid,
        film.c.sop_instance_uid,
        film.c.series_instance_uid,
        film.c.transfer_syntax_uid,
        film.c.patient_key,
        film.c.archive_key,
        film.c.calling_ae_title,
        study.c.study_instance_uid,
    )
    .join(study, study.c.id == film.c.study_id)
    .where(film.c.modality.is_(None), film.c.removed_at.is_(None))
    .order_by(film.c.id.desc())
)
_INSERT = insert(film_identifiers)
