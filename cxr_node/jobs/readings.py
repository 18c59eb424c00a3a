"""Readings, kept whole: what was said of a film can be said again from its rows."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.instance import Identity
from cxr_node.domain.radiograph import Geometry, PixelSpacing, SpacingSource, View, ViewSource
from cxr_node.domain.reading import (
    Finding,
    Laterality,
    Measurement,
    ModelIdentity,
    Prediction,
    Presence,
    Reading,
    Region,
)
from cxr_node.domain.reasons import Note, Reason
from cxr_node.jobs.database import Transaction
from cxr_node.jobs.tables import finding, measurement, reading

Json = dict[str, Any]


def write(transaction: Transaction, film_id: int, value: Reading, *, now: datetime) -> None:
    """Write a film's reading; one of the same film by the same model is replaced."""
    connection = transaction.connection
    model = value.prediction.model if value.prediction else None
    _forget(connection, film_id, model.weights_digest if model else None)
    reading_id = connection.execute(
        insert(reading)
        .values(
            film_id=film_id,
            read_at=now,
            not_analysed=value.not_analysed,
            detail=value.detail,
            notes=list(value.notes),
            geometry=asdict(value.geometry) if value.geometry else None,
            grayscale=value.grayscale,
            analysed_area=value.prediction.analysed_area.outline if value.prediction else None,
            model_name=model.name if model else None,
            model_version=model.version if model else None,
            model_manufacturer=model.manufacturer if model else None,
            weights_digest=model.weights_digest if model else None,
            preparation=model.preparation if model else None,
            operating_points=model.operating_points if model else None,
        )
        .returning(reading.c.id)
    ).scalar_one()
    findings = value.prediction.findings if value.prediction else ()
    if findings:
        connection.execute(insert(finding), [{"reading_id": reading_id, **_finding_row(each)} for each in findings])
    if value.measurements:
        rows = [{"reading_id": reading_id, **_measurement_row(each)} for each in value.measurements]
        connection.execute(insert(measurement), rows)


def latest(connection: Connection, film_id: int, identity: Identity) -> Reading | None:
    """Return the newest reading of a film whose identity is known, or None when it has not been read."""
    newest = select(reading).where(reading.c.film_id == film_id).order_by(reading.c.id.desc()).limit(1)
    columns = connection.execute(newest).mappings().first()
    if columns is None:
        return None
    not_analysed = columns["not_analysed"]
    return Reading(
        film=identity,
        geometry=_geometry(columns["geometry"]),
        grayscale=columns["grayscale"],
        prediction=None if not_analysed else _prediction(connection, columns),
        measurements=_measurements(connection, columns["id"]),
        notes=tuple(Note(note) for note in columns["notes"]),
        not_analysed=Reason(not_analysed) if not_analysed else None,
        detail=columns["detail"],
    )


def _forget(connection: Connection, film_id: int, weights_digest: Digest | None) -> None:
    same = select(reading.c.id).where(
        reading.c.film_id == film_id, reading.c.weights_digest.is_not_distinct_from(weights_digest)
    )
    ids = connection.execute(same).scalars().all()
    if ids:
        connection.execute(delete(finding).where(finding.c.reading_id.in_(ids)))
        connection.execute(delete(measurement).where(measurement.c.reading_id.in_(ids)))
        connection.execute(delete(reading).where(reading.c.id.in_(ids)))


def _finding_row(value: Finding) -> Json:
    return {
        "key": value.key,
        **_code_columns(value.code),
        "site": asdict(value.site) if value.site else None,
        "score": value.score,
        "operating_point": value.operating_point,
        "presence": value.presence,
        "calibrated": value.calibrated,
        "laterality": value.laterality,
        "regions": [region.outline for region in value.regions],
    }


def _measurement_row(value: Measurement) -> Json:
    return {
        "key": value.key,
        **_code_columns(value.code),
        "value": value.value,
        "unit": asdict(value.unit),
        "line": value.line,
        "provenance": value.provenance,
    }


def _code_columns(code: Code) -> Json:
    return {"code_value": code.value, "code_scheme": code.scheme_designator, "code_meaning": code.meaning}


def _code(columns: RowMapping) -> Code:
    return Code(value=columns["code_value"], scheme_designator=columns["code_scheme"], meaning=columns["code_meaning"])


def _geometry(stored: Json | None) -> Geometry | None:
    if stored is None:
        return None
    spacing, orientation = stored["spacing"], stored["patient_orientation"]
    return Geometry(
        **{
            **stored,
            "spacing": PixelSpacing(**{**spacing, "source": SpacingSource(spacing["source"])}) if spacing else None,
            "view": View(stored["view"]),
            "view_source": ViewSource(stored["view_source"]),
            "patient_orientation": (orientation[0], orientation[1]) if orientation else None,
        }
    )


def _region(outline: list[list[float]]) -> Region:
    return Region(outline=tuple((column, row) for column, row in outline))


def _prediction(connection: Connection, columns: RowMapping) -> Prediction:
    rows = connection.execute(select(finding).where(finding.c.reading_id == columns["id"]).order_by(finding.c.id))
    return Prediction(
        model=ModelIdentity(
            name=columns["model_name"],
            version=columns["model_version"],
            manufacturer=columns["model_manufacturer"],
            weights_digest=Digest(columns["weights_digest"]),
            preparation=columns["preparation"],
            operating_points=columns["operating_points"],
        ),
        findings=tuple(_finding(each) for each in rows.mappings()),
        analysed_area=_region(columns["analysed_area"]),
    )


def _finding(columns: RowMapping) -> Finding:
    return Finding(
        key=columns["key"],
        code=_code(columns),
        site=Code(**columns["site"]) if columns["site"] else None,
        score=columns["score"],
        operating_point=columns["operating_point"],
        presence=Presence(columns["presence"]),
        calibrated=columns["calibrated"],
        laterality=Laterality(columns["laterality"]) if columns["laterality"] else None,
        regions=tuple(_region(outline) for outline in columns["regions"]),
    )


def _measurements(connection: Connection, reading_id: int) -> tuple[Measurement, ...]:
    rows = connection.execute(
        select(measurement).where(measurement.c.reading_id == reading_id).order_by(measurement.c.id)
    )
    return tuple(
        Measurement(
            key=columns["key"],
            code=_code(columns),
            value=columns["value"],
            unit=Code(**columns["unit"]),
            line=tuple((column, line_row) for column, line_row in columns["line"]),
            provenance=columns["provenance"],
        )
        for columns in rows.mappings()
    )
