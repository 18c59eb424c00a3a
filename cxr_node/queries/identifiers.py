"""Identifiers of films, for those who may see them; each use is recorded in the audit trail."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, select

from cxr_node.db.identifier_tables import film_identifiers
from cxr_node.db.tables import film, study
from cxr_node.domain.identifiers import Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifiedFilm:
    """A film with its identifiers; an absent one is None."""

    film_id: int
    study_id: int
    study_instance_uid: Uid
    sop_class_uid: Uid
    sop_instance_uid: Uid
    accession_number: str | None
    patient_id: str | None
    issuer_of_patient_id: str | None
    patient_name: str | None
    study_date: str | None
    study_description: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """Different values of the identifiers of some films, such as those of a study; usually one of each.

    A Patient ID is followed by its issuer in brackets.
    """

    accession_numbers: tuple[str, ...] = ()
    patient_ids: tuple[str, ...] = ()
    patient_names: tuple[str, ...] = ()
    study_dates: tuple[str, ...] = ()
    study_descriptions: tuple[str, ...] = ()


def of_studies(connection: Connection, study_ids: Collection[int]) -> list[IdentifiedFilm]:
    """Return the films of studies that have identifiers, in the order of reception."""
    return _films(connection, film.c.study_id.in_(study_ids))


def of_films(connection: Connection, film_ids: Collection[int]) -> list[IdentifiedFilm]:
    """Return those of some films that have identifiers, in the order of reception."""
    return _films(connection, film.c.id.in_(film_ids))


def films_with(connection: Connection, values: Mapping[str, str], *, limit: int) -> list[tuple[int, int]]:
    """Return film and study of the newest films whose identifiers have these values, by column."""
    query = select(film_identifiers.c.film_id, film.c.study_id).join(film, film.c.id == film_identifiers.c.film_id)
    query = query.where(*(film_identifiers.c[column] == value for column, value in values.items()))
    rows = connection.execute(query.order_by(film_identifiers.c.film_id.desc()).limit(limit))
    return [(film_id, study_id) for film_id, study_id in rows]


def _films(connection: Connection, condition: ColumnElement[bool]) -> list[IdentifiedFilm]:
    query = (
        select(
            film.c.study_id,
            study.c.study_instance_uid,
            film.c.sop_class_uid,
            film.c.sop_instance_uid,
            *film_identifiers.c,
        )
        .join(film, film.c.id == film_identifiers.c.film_id)
        .join(study, study.c.id == film.c.study_id)
        .where(condition)
        .order_by(film.c.id)
    )
    return [IdentifiedFilm(**row) for row in connection.execute(query).mappings()]


def by_study(films: Iterable[IdentifiedFilm]) -> dict[int, Identifiers]:
    """Return the identifiers of each study of some films."""
    studies: dict[int, list[IdentifiedFilm]] = {}
    for identified in films:
        studies.setdefault(identified.study_id, []).append(identified)
    return {study_id: summary(members) for study_id, members in studies.items()}


def summary(films: Collection[IdentifiedFilm]) -> Identifiers:
    """Return the different values of some films."""
    return Identifiers(
        accession_numbers=_different(member.accession_number for member in films),
        patient_ids=_different(_with_issuer(member) for member in films),
        patient_names=_different(member.patient_name for member in films),
        study_dates=_different(member.study_date for member in films),
        study_descriptions=_different(member.study_description for member in films),
    )


def _different(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))


def _with_issuer(identified: IdentifiedFilm) -> str | None:
    if identified.patient_id and identified.issuer_of_patient_id:
        return f"{identified.patient_id} ({identified.issuer_of_patient_id})"
    return identified.patient_id
