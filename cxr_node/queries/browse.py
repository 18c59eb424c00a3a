"""Queries of pages and JSON API, independent of HTTP."""

from typing import Any

from sqlalchemy import select

from cxr_node.db.database import Connection
from cxr_node.db.tables import film, finding, heat_map, reading, result, study
from cxr_node.domain.explanations import explanations_of
from cxr_node.domain.reading import HeatMap
from cxr_node.queries import view_rows
from cxr_node.queries.view_rows import equal
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records import reading_columns, readings
from cxr_node.records.films import get as get_film

Row = dict[str, Any]
NEWEST = (
    "film_id", "study_id", "calling_ae_title", "received_at", "view", "state", "reason", "modality", "station_name"
)  # fmt: skip


def newest_films(connection: Connection, *, limit: int) -> list[Row]:
    """Return the newest films."""
    return view_rows.rows(connection, VIEWS["v1_films"], columns=NEWEST, order="-film_id", limit=limit)


def films_of(connection: Connection, study_id: int) -> list[Row]:
    """Return the films of a study, oldest first."""
    conditions = [equal("study_id", study_id)]
    return view_rows.rows(connection, VIEWS["v1_films"], columns=NEWEST, conditions=conditions, order="film_id")


def study_uid(connection: Connection, study_id: int) -> str | None:
    """Return the Study Instance UID of a study."""
    return connection.execute(select(study.c.study_instance_uid).where(study.c.id == study_id)).scalar()


def study_states(connection: Connection, study_id: int) -> Row:
    """Return the result and the delivery of a study; empty for one of a constancy check."""
    columns = ("result_state", "delivery_state")
    rows = view_rows.rows(connection, VIEWS["v1_studies"], columns=columns, conditions=[equal("study_id", study_id)])
    return rows[0] if rows else {}


def results_of(connection: Connection, study_id: int) -> list[Row]:
    """Return the results of a study, oldest first."""
    columns = (result.c.id, result.c.kind, result.c.version, result.c.sop_class_uid, result.c.composed_at)
    rows = connection.execute(
        select(*columns).where(result.c.study_id == study_id, result.c.removed_at.is_(None)).order_by(result.c.id)
    )
    return [{"result_id": row["id"], **{name: row[name] for name in row if name != "id"}} for row in rows.mappings()]


def result_row(connection: Connection, result_id: int) -> Row | None:
    """Return study, kind, version and times of a result, also of a removed one; None if there is none."""
    names = ("id", "study_id", "kind", "version", "composed_at", "removed_at", "archive_key", "digest")
    query = select(*(result.c[name] for name in names)).where(result.c.id == result_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else dict(row)


def film_detail(connection: Connection, film_id: int) -> Row | None:
    """Return a film with findings, bundles, measurements, comparisons, notes and timeline; None if there is none.

    `explanations` has what its reason and its notes mean, and what to do.
    """
    rows = view_rows.rows(connection, VIEWS["v1_films"], conditions=[equal("film_id", film_id)], limit=1)
    if not rows:
        return None
    newest = [equal("film_id", film_id), equal("reading_id", rows[0]["reading_id"])]
    turnaround = view_rows.rows(connection, VIEWS["v1_turnaround"], conditions=[equal("film_id", film_id)], limit=1)
    notes = _notes(connection, rows[0]["reading_id"])
    explained = explanations_of(reasons=[rows[0]["reason"]], notes=notes)
    return {
        "film": rows[0],
        "explanations": [explanation.as_row() for explanation in explained],
        "findings": view_rows.rows(connection, VIEWS["v1_findings"], conditions=newest, order="finding_id"),
        "measurements": view_rows.rows(connection, VIEWS["v1_measurements"], conditions=newest, order="measurement_id"),
        "fetched_comparisons": view_rows.rows(
            connection, VIEWS["v1_fetched_comparisons"], conditions=[equal("film_id", film_id)], order="comparison_id"
        ),
        "comparisons": view_rows.rows(
            connection, VIEWS["v1_comparisons"], conditions=[equal("film_id", film_id)], order="comparison_id"
        ),
        "cascade": view_rows.rows(connection, VIEWS["v1_cascade"], conditions=newest, order="ordinal"),
        "second_opinions": view_rows.rows(
            connection, VIEWS["v1_second_opinions"], conditions=newest, order="opinion_id"
        ),
        "heat_maps": heat_maps(connection, rows[0]["reading_id"]),
        "notes": notes,
        "turnaround": turnaround[0],
    }


def reading_of(connection: Connection, film_id: int) -> Any:
    """Return the newest reading of a film with its outlines, or None."""
    if connection.execute(select(film.c.id).where(film.c.id == film_id)).first() is None:
        return None
    return readings.latest(connection, film_id, get_film(connection, film_id).identity)


def heat_maps(connection: Connection, reading_id: int | None) -> list[Row]:
    """Return the findings of a reading that have a heat map, highest score first, with its area on the film."""
    columns = (heat_map.c.finding_id, finding.c.key, finding.c.code_meaning, finding.c.presence)
    rows = connection.execute(
        select(*columns, heat_map.c.area)
        .join(finding, finding.c.id == heat_map.c.finding_id)
        .where(finding.c.reading_id == reading_id)
        .order_by(finding.c.score.desc(), finding.c.id)
    ).mappings()
    return [{**row, "area": [tuple(point) for point in row["area"]]} for row in rows]


def heat_map_of(connection: Connection, film_id: int, finding_id: int) -> HeatMap | None:
    """Return the heat map of a finding of a film, if there is one."""
    query = (
        select(heat_map)
        .join(finding, finding.c.id == heat_map.c.finding_id)
        .join(reading, reading.c.id == finding.c.reading_id)
        .where(heat_map.c.finding_id == finding_id, reading.c.film_id == film_id)
    )
    columns = connection.execute(query).mappings().first()
    return None if columns is None else reading_columns.heat_map(columns)


def _notes(connection: Connection, reading_id: int | None) -> list[str]:
    if reading_id is None:
        return []
    notes = connection.execute(select(reading.c.notes).where(reading.c.id == reading_id)).scalar() or []
    return [str(note) for note in notes]
