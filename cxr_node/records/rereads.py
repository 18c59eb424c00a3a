"""Films to be read again: which of a selection, by which bundle they were read, and what a new reading would send."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, distinct, func, literal, not_, or_, select

from cxr_node.db.database import Transaction
from cxr_node.db.monitoring_tables import is_not_constancy_film
from cxr_node.db.row_ids import RowIds
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import delivery, film, job, reading, result
from cxr_node.queue import queue

Model = tuple[str, str]
"""Name and version of a bundle."""


class Standing(StrEnum):
    """Whether a film is read again; the first that applies counts."""

    WAITING = "waiting"
    """It is to be read, or being read."""
    REMOVED = "removed"
    """Its bytes were removed from the archive."""
    AGAIN = "again"
    """It was read, or not analysed, and is read again."""
    NOT_READ = "not_read"
    """Its reading failed, or a person dismissed it: a retry reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Films, without copies of a film that came before and phantoms; every part that is set restricts them.

    Parameters
    ----------
    film_ids, study_ids
        The films themselves, and studies of films.
    since, until
        Period in which the film was received.
    calling_ae_title
        Sender of the film.
    not_by
        Bundles whose readings stay: only films that others read, or that none analysed.
    """

    film_ids: RowIds | None = None
    study_ids: RowIds | None = None
    since: datetime | None = None
    until: datetime | None = None
    calling_ae_title: str = ""
    not_by: Sequence[Model] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Number of films of one standing and bundle, which is None for films that were not analysed."""

    standing: Standing
    model: Model | None
    films: int


def groups(connection: Connection, selection: Selection) -> list[Group]:
    """Return the films of a selection by standing and by the bundle of their newest reading."""
    columns = _standing(), reading.c.model_name, reading.c.model_version
    query = _selected(select(*columns, func.count()), selection).group_by(*columns).order_by(*columns)
    return [
        Group(standing=Standing(value), model=None if name is None else (name, version), films=films)
        for value, name, version, films in connection.execute(query)
    ]


def count_studies(connection: Connection, selection: Selection) -> int:
    """Return the number of studies with a film that is read again."""
    query = _again(select(func.count(distinct(film.c.study_id))), selection)
    studies: int = connection.execute(query).scalar_one()
    return studies


def present_results(connection: Connection, selection: Selection) -> dict[str, int]:
    """Return by destination the number of present results of the studies with a film that is read again."""
    query = (
        select(delivery.c.destination, func.count())
        .join(result, result.c.id == delivery.c.result_id)
        .where(result.c.superseded_at.is_(None), result.c.study_id.in_(_again(select(film.c.study_id), selection)))
        .group_by(delivery.c.destination)
        .order_by(delivery.c.destination)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def to_read_again(connection: Connection, selection: Selection, *, limit: int | None = None) -> list[int]:
    """Return the ids of the films of a selection that are read again: studies by study, the oldest first."""
    query = _again(select(film.c.id), selection).order_by(film.c.study_id, film.c.id).limit(limit)
    return list(connection.execute(query).scalars())


def read_again(transaction: Transaction, film_ids: Sequence[int], *, actor: str, now: datetime) -> int:
    """Queue films to be read again behind all other work; return their number.

    One that waits already stays as it is.
    """
    job_ids = list(transaction.connection.execute(_again(select(job.c.id), Selection(film_ids=film_ids))).scalars())
    return len(queue.requeue(transaction, job_ids, actor=actor, now=now, is_background=True))


def _again(query: Select[Any], selection: Selection) -> Select[Any]:
    return _selected(query, selection).where(_standing() == Standing.AGAIN.value)


def _selected(query: Select[Any], selection: Selection) -> Select[Any]:
    other = reading.alias("other")
    newest = select(func.max(other.c.id)).where(other.c.film_id == film.c.id).correlate(film).scalar_subquery()
    query = (
        query.select_from(film)
        .join(job, job.c.film_id == film.c.id)
        .outerjoin(reading, reading.c.id == newest)
        .where(job.c.stage == Stage.READ, film.c.is_original.is_(True), is_not_constancy_film())
    )
    if selection.film_ids is not None:
        query = query.where(film.c.id.in_(selection.film_ids))
    if selection.study_ids is not None:
        query = query.where(film.c.study_id.in_(selection.study_ids))
    if selection.since is not None:
        query = query.where(film.c.received_at >= selection.since)
    if selection.until is not None:
        query = query.where(film.c.received_at < selection.until)
    if selection.calling_ae_title:
        query = query.where(film.c.calling_ae_title == selection.calling_ae_title)
    if selection.not_by:
        query = query.where(or_(reading.c.model_name.is_(None), not_(or_(*map(_is_by, selection.not_by)))))
    return query


def _is_by(model: Model) -> ColumnElement[bool]:
    return and_(reading.c.model_name == model[0], reading.c.model_version == model[1])


def _standing() -> ColumnElement[str]:
    return case(
        (job.c.state.in_([State.WAITING, State.RUNNING]), literal(Standing.WAITING.value)),
        (film.c.removed_at.is_not(None), literal(Standing.REMOVED.value)),
        (job.c.state.in_([State.DONE, State.NOT_ANALYSED]), literal(Standing.AGAIN.value)),
        else_=literal(Standing.NOT_READ.value),
    )
