"""Readings with findings, heat maps, points, embeddings and measurements; one is read back without loss.

Statements are built once: building one costs more than running it.
"""

from datetime import datetime

from sqlalchemy import BindParameter, Connection, bindparam, delete, insert, select

from cxr_node.db.cascade_tables import cascade_step, second_opinion
from cxr_node.db.database import Transaction
from cxr_node.db.point_tables import embedding, point
from cxr_node.db.tables import finding, heat_map, measurement, reading
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.instance import Identity
from cxr_node.domain.reading import CascadeStep, Embedding, Finding, Measurement, NamedPoint, Prediction, Reading
from cxr_node.records import reading_columns


def write(transaction: Transaction, film_id: int, value: Reading, *, now: datetime) -> None:
    """Write the reading of a film, in place of one by the same model."""
    connection = transaction.connection
    _delete_same(connection, film_id, value.prediction.model.weights_digest if value.prediction else None)
    columns = {"film_id": film_id, "read_at": now, **reading_columns.of_reading(value)}
    reading_id = connection.execute(_INSERT_READING, columns).scalar_one()
    findings = value.prediction.findings if value.prediction else ()
    if findings:
        _write_findings(connection, reading_id, findings)
    if value.prediction is not None:
        _write_steps(connection, reading_id, value.prediction.steps)
        _write_points(connection, reading_id, value.prediction)
    if value.measurements:
        rows = [
            {"reading_id": reading_id, **reading_columns.of_measurement(measured)} for measured in value.measurements
        ]
        connection.execute(_INSERT_MEASUREMENTS, rows)


def _write_findings(connection: Connection, reading_id: int, findings: tuple[Finding, ...]) -> None:
    rows = [{"reading_id": reading_id, **reading_columns.of_finding(element)} for element in findings]
    written = connection.execute(_INSERT_FINDINGS, rows)
    ids: dict[str, int] = {key: finding_id for finding_id, key in written}
    heat = [
        {"finding_id": ids[element.key], **reading_columns.of_heat_map(element.heat)}
        for element in findings
        if element.heat
    ]
    if heat:
        connection.execute(insert(heat_map), heat)


def _write_steps(connection: Connection, reading_id: int, steps: tuple[CascadeStep, ...]) -> None:
    for ordinal, step in enumerate(steps, start=1):
        columns = {"reading_id": reading_id, "ordinal": ordinal, **reading_columns.of_step(step)}
        step_id = connection.execute(_INSERT_STEP, columns).scalar_one()
        opinions = [
            {"step_id": step_id, **reading_columns.of_second_opinion(finding)} for finding in step.second_opinions
        ]
        if opinions:
            connection.execute(insert(second_opinion), opinions)


def _write_points(connection: Connection, reading_id: int, prediction: Prediction) -> None:
    points = [{"reading_id": reading_id, **reading_columns.of_point(value)} for value in prediction.points]
    if points:
        connection.execute(insert(point), points)
    vectors = [
        {"reading_id": reading_id, "ordinal": ordinal, **reading_columns.of_embedding(value)}
        for ordinal, value in enumerate(prediction.embeddings, start=1)
    ]
    if vectors:
        connection.execute(insert(embedding), vectors)


def latest(connection: Connection, film_id: int, identity: Identity) -> Reading | None:
    """Return the newest reading of a film; None if it has not been read."""
    columns = connection.execute(_LATEST, {"film_id": film_id}).mappings().first()
    if columns is None:
        return None
    reading_id = columns["id"]
    return reading_columns.reading(
        columns,
        identity,
        findings=_findings(connection, reading_id),
        steps=_steps(connection, reading_id),
        points=_points(connection, reading_id),
        embeddings=_embeddings(connection, reading_id),
        measurements=_measurements(connection, reading_id),
    )


def delete_not_analysed(connection: Connection, film_id: int) -> None:
    """Delete the reading of a film that was not analysed: it is read anew."""
    _delete_same(connection, film_id, None)


def _delete_same(connection: Connection, film_id: int, weights_digest: Digest | None) -> None:
    ids = connection.execute(_SAME, {"film_id": film_id, "weights_digest": weights_digest}).scalars().all()
    if ids:
        finding_ids = select(finding.c.id).where(finding.c.reading_id.in_(ids))
        connection.execute(delete(heat_map).where(heat_map.c.finding_id.in_(finding_ids)))
        connection.execute(delete(finding).where(finding.c.reading_id.in_(ids)))
        step_ids = select(cascade_step.c.id).where(cascade_step.c.reading_id.in_(ids))
        connection.execute(delete(second_opinion).where(second_opinion.c.step_id.in_(step_ids)))
        connection.execute(delete(cascade_step).where(cascade_step.c.reading_id.in_(ids)))
        connection.execute(delete(point).where(point.c.reading_id.in_(ids)))
        connection.execute(delete(embedding).where(embedding.c.reading_id.in_(ids)))
        connection.execute(delete(measurement).where(measurement.c.reading_id.in_(ids)))
        connection.execute(delete(reading).where(reading.c.id.in_(ids)))


def _findings(connection: Connection, reading_id: int) -> tuple[Finding, ...]:
    rows = connection.execute(_FINDINGS, {"reading_id": reading_id}).mappings().all()
    heat_maps = connection.execute(_HEAT_MAPS, {"reading_id": reading_id}).mappings()
    heat = {columns["finding_id"]: reading_columns.heat_map(columns) for columns in heat_maps}
    return tuple(reading_columns.finding(columns, heat.get(columns["id"])) for columns in rows)


def _steps(connection: Connection, reading_id: int) -> tuple[CascadeStep, ...]:
    return tuple(
        reading_columns.step(columns, _second_opinions(connection, columns["id"]))
        for columns in connection.execute(_STEPS, {"reading_id": reading_id}).mappings().all()
    )


def _second_opinions(connection: Connection, step_id: int) -> tuple[Finding, ...]:
    rows = connection.execute(_SECOND_OPINIONS, {"step_id": step_id}).mappings()
    return tuple(reading_columns.finding(columns) for columns in rows)


def _points(connection: Connection, reading_id: int) -> tuple[NamedPoint, ...]:
    rows = connection.execute(_POINTS, {"reading_id": reading_id}).mappings()
    return tuple(reading_columns.point(columns) for columns in rows)


def _embeddings(connection: Connection, reading_id: int) -> tuple[Embedding, ...]:
    rows = connection.execute(_EMBEDDINGS, {"reading_id": reading_id}).mappings()
    return tuple(reading_columns.embedding(columns) for columns in rows)


def _measurements(connection: Connection, reading_id: int) -> tuple[Measurement, ...]:
    rows = connection.execute(_MEASUREMENTS, {"reading_id": reading_id}).mappings()
    return tuple(reading_columns.measurement(columns) for columns in rows)


_INSERT_READING = insert(reading).returning(reading.c.id)
_INSERT_FINDINGS = insert(finding).returning(finding.c.id, finding.c.key)
_INSERT_STEP = insert(cascade_step).returning(cascade_step.c.id)
_INSERT_MEASUREMENTS = insert(measurement)
_LATEST = select(reading).where(reading.c.film_id == bindparam("film_id")).order_by(reading.c.id.desc()).limit(1)
_SAME = select(reading.c.id).where(
    reading.c.film_id == bindparam("film_id"),
    reading.c.weights_digest.is_not_distinct_from(bindparam("weights_digest")),
)
_OF_READING: BindParameter[int] = bindparam("reading_id")
_FINDINGS = select(finding).where(finding.c.reading_id == _OF_READING).order_by(finding.c.id)
_HEAT_MAPS = (
    select(heat_map).join(finding, finding.c.id == heat_map.c.finding_id).where(finding.c.reading_id == _OF_READING)
)
_STEPS = select(cascade_step).where(cascade_step.c.reading_id == _OF_READING).order_by(cascade_step.c.ordinal)
_SECOND_OPINIONS = (
    select(second_opinion).where(second_opinion.c.step_id == bindparam("step_id")).order_by(second_opinion.c.id)
)
_POINTS = select(point).where(point.c.reading_id == _OF_READING).order_by(point.c.id)
_EMBEDDINGS = select(embedding).where(embedding.c.reading_id == _OF_READING).order_by(embedding.c.ordinal)
_MEASUREMENTS = select(measurement).where(measurement.c.reading_id == _OF_READING).order_by(measurement.c.id)
