"""Films that an export may take: those of a selection, with what keeps each of them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, exists, func, select

from cxr_node.db.correction_tables import rejected_film
from cxr_node.db.monitoring_tables import constancy_film
from cxr_node.db.row_ids import RowIds
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import film, job, reading, result
from cxr_node.domain.reasons import Note, Reason


class Standing(StrEnum):
    """Whether a film can be exported, as far as its rows say; the first that applies counts."""

    COPY = "copy"
    """It is not the film of its SOP Instance UID: a copy, or replaced by a correction."""
    PHANTOM = "phantom"
    REJECTED = "rejected"
    REMOVED = "removed"
    DISMISSED = "dismissed"
    NOT_READ = "not_read"
    """It waits to be read, is being read, or its reading failed."""
    BURNED_IN = "burned_in"
    EXPORTED = "exported"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedFilm:
    """A film of a selection."""

    film_id: int
    study_id: int
    standing: Standing


def selected_films(
    connection: Connection, *, film_ids: RowIds | None = None, study_ids: RowIds | None = None
) -> list[SelectedFilm]:
    """Return films by number, by study, or those that are both, study by study."""
    rows = connection.execute(_query(film_ids, study_ids)).mappings()
    return [SelectedFilm(film_id=row["id"], study_id=row["study_id"], standing=_standing(dict(row))) for row in rows]


def composed_at(connection: Connection, study_id: int) -> datetime | None:
    """Return when the newest result of a study was composed; None if there is none."""
    newest: datetime | None = connection.execute(
        select(func.max(result.c.composed_at)).where(result.c.study_id == study_id)
    ).scalar()
    return newest


def _query(film_ids: RowIds | None, study_ids: RowIds | None) -> Select[Any]:
    other = reading.alias("other")
    newest = select(func.max(other.c.id)).where(other.c.film_id == film.c.id).correlate(film).scalar_subquery()
    query = (
        select(
            film.c.id,
            film.c.study_id,
            film.c.is_original,
            film.c.removed_at,
            exists().where(constancy_film.c.film_id == film.c.id).label("is_phantom"),
            exists().where(rejected_film.c.film_id == film.c.id).label("is_rejected"),
            job.c.state,
            reading.c.id.label("reading_id"),
            reading.c.not_analysed,
            reading.c.notes,
        )
        .select_from(film)
        .join(job, job.c.film_id == film.c.id)
        .outerjoin(reading, reading.c.id == newest)
        .where(job.c.stage == Stage.READ)
        .order_by(film.c.study_id, film.c.id)
    )
    if film_ids is not None:
        query = query.where(film.c.id.in_(film_ids))
    if study_ids is not None:
        query = query.where(film.c.study_id.in_(study_ids))
    return query


def _standing(row: dict[str, Any]) -> Standing:
    is_ended = row["state"] in (State.DONE, State.NOT_ANALYSED) and row["reading_id"] is not None
    rules: Sequence[tuple[bool, Standing]] = (
        (not row["is_original"], Standing.COPY),
        (bool(row["is_phantom"]), Standing.PHANTOM),
        (bool(row["is_rejected"]), Standing.REJECTED),
        (row["removed_at"] is not None, Standing.REMOVED),
        (row["state"] == State.DISMISSED or row["not_analysed"] == Reason.DISMISSED, Standing.DISMISSED),
        (not is_ended, Standing.NOT_READ),
        (Note.BURNED_IN_TEXT in (row["notes"] or ()), Standing.BURNED_IN),
    )
    return next((standing for applies, standing in rules if applies), Standing.EXPORTED)
