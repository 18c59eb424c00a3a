"""Conversion of a reading to columns and JSON, and back without loss."""

import zlib
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import RowMapping

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.radiograph import Geometry, PixelSpacing, SpacingSource, View, ViewSource
from cxr_node.domain.reading import (
    Appearance,
    CascadeStep,
    Finding,
    HeatMap,
    Laterality,
    Measurement,
    ModelIdentity,
    Observation,
    Point,
    Prediction,
    Presence,
    Reading,
    Region,
    StepState,
    Structure,
    Topic,
)
from cxr_node.domain.reasons import Reason

Json = dict[str, Any]

_MODEL = (
    "model_name", "model_version", "model_manufacturer", "weights_digest", "preparation", "operating_points",
)  # fmt: skip
_OF_SECOND_OPINION = frozenset(
    {"key", "code_value", "code_scheme", "code_meaning", "site", "score", "operating_point", "presence", "calibrated"}
)


def of_reading(value: Reading) -> Json:
    """Return the columns of a reading; findings and measurements have their own tables."""
    return {
        "not_analysed": value.not_analysed,
        "detail": value.detail,
        "notes": list(value.notes),
        "geometry": asdict(value.geometry) if value.geometry else None,
        "grayscale": value.grayscale,
        "observations": [_of_observation(observation) for observation in value.observations],
        **(_of_prediction(value.prediction) if value.prediction else {}),
    }


def of_finding(value: Finding) -> Json:
    """Return the columns of a finding."""
    return {
        "key": value.key,
        **_of_code(value.code),
        "site": _of_optional_code(value.site),
        "score": value.score,
        "operating_point": value.operating_point,
        "presence": value.presence,
        "calibrated": value.calibrated,
        "laterality": value.laterality,
        "regions": _of_regions(value.regions),
        **_of_optional_model(value.model),
    }


def of_step(value: CascadeStep) -> Json:
    """Return the columns of a bundle of a cascade; second opinions have their own table."""
    return {
        "name": value.name,
        "state": value.state,
        "reason": value.reason,
        "detail": value.detail,
        "analysed_area": value.analysed_area.outline if value.analysed_area else None,
        "gives_structures": value.gives_structures,
        **_of_model(value.model),
    }


def of_second_opinion(value: Finding) -> Json:
    """Return the columns of a second opinion, which has neither places nor a heat map."""
    columns = of_finding(value)
    return {name: columns[name] for name in columns if name in _OF_SECOND_OPINION}


def of_measurement(value: Measurement) -> Json:
    """Return the columns of a measurement."""
    return {
        "key": value.key,
        **_of_code(value.code),
        "value": value.value,
        "unit": asdict(value.unit),
        "line": value.line,
        "provenance": value.provenance,
        "topic": value.topic,
        "site": _of_optional_code(value.site),
        "laterality": value.laterality,
    }


def geometry(stored: Json | None) -> Geometry | None:
    """Return a geometry from its column."""
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


def prediction(columns: RowMapping, findings: tuple[Finding, ...], steps: tuple[CascadeStep, ...] = ()) -> Prediction:
    """Return a prediction from the columns of its reading."""
    return Prediction(
        model=_model(columns),
        findings=findings,
        analysed_area=_region(columns["analysed_area"]),
        structures=tuple(_structure(stored) for stored in columns["structures"] or ()),
        appearance=_appearance(columns["appearance"]),
        steps=steps,
    )


def step(columns: RowMapping, second_opinions: tuple[Finding, ...]) -> CascadeStep:
    """Return a bundle of a cascade from its columns."""
    area = columns["analysed_area"]
    return CascadeStep(
        name=columns["name"],
        model=_model(columns),
        state=StepState(columns["state"]),
        reason=Reason(columns["reason"]) if columns["reason"] else None,
        detail=columns["detail"],
        analysed_area=_region(area) if area else None,
        second_opinions=second_opinions,
        gives_structures=columns["gives_structures"],
    )


def second_opinion(columns: RowMapping) -> Finding:
    """Return a second opinion from its columns."""
    return Finding(
        key=columns["key"],
        code=_code(columns),
        site=_optional_code(columns["site"]),
        score=columns["score"],
        operating_point=columns["operating_point"],
        presence=Presence(columns["presence"]),
        calibrated=columns["calibrated"],
    )


def of_heat_map(value: HeatMap) -> Json:
    """Return the columns of a heat map; its levels are compressed, as most of them are low."""
    area = value.area.outline
    return {"rows": value.rows, "columns": value.columns, "area": area, "levels": zlib.compress(value.levels, 9)}


def heat_map(columns: RowMapping) -> HeatMap:
    """Return a heat map from its columns."""
    cells = columns["rows"] * columns["columns"]
    levels = zlib.decompressobj().decompress(columns["levels"], cells)
    return HeatMap(rows=columns["rows"], columns=columns["columns"], levels=levels, area=_region(columns["area"]))


def finding(columns: RowMapping, heat: HeatMap | None = None) -> Finding:
    """Return a finding from its columns."""
    return Finding(
        key=columns["key"],
        code=_code(columns),
        site=_optional_code(columns["site"]),
        score=columns["score"],
        operating_point=columns["operating_point"],
        presence=Presence(columns["presence"]),
        calibrated=columns["calibrated"],
        laterality=_laterality(columns["laterality"]),
        regions=_regions(columns["regions"]),
        heat=heat,
        model=None if columns["model_name"] is None else _model(columns),
    )


def measurement(columns: RowMapping) -> Measurement:
    """Return a measurement from its columns."""
    return Measurement(
        key=columns["key"],
        code=_code(columns),
        value=columns["value"],
        unit=Code(**columns["unit"]),
        line=_line(columns["line"]),
        provenance=columns["provenance"],
        topic=Topic(columns["topic"]),
        site=_optional_code(columns["site"]),
        laterality=_laterality(columns["laterality"]),
    )


def observations(stored: list[Json] | None) -> tuple[Observation, ...]:
    """Return observations from their column."""
    return tuple(_observation(element) for element in stored or ())


def _of_prediction(value: Prediction) -> Json:
    return {
        "analysed_area": value.analysed_area.outline,
        "structures": [_of_structure(structure) for structure in value.structures],
        "appearance": asdict(value.appearance) if value.appearance else None,
        **_of_model(value.model),
    }


def _of_model(value: ModelIdentity) -> Json:
    return {
        "model_name": value.name,
        "model_version": value.version,
        "model_manufacturer": value.manufacturer,
        "weights_digest": value.weights_digest,
        "preparation": value.preparation,
        "operating_points": value.operating_points,
    }


def _of_optional_model(value: ModelIdentity | None) -> Json:
    return dict.fromkeys(_MODEL) if value is None else _of_model(value)


def _model(columns: RowMapping) -> ModelIdentity:
    return ModelIdentity(
        name=columns["model_name"],
        version=columns["model_version"],
        manufacturer=columns["model_manufacturer"],
        weights_digest=Digest(columns["weights_digest"]),
        preparation=columns["preparation"],
        operating_points=columns["operating_points"],
    )


def _of_structure(value: Structure) -> Json:
    return {"key": value.key, "confidence": value.confidence, "regions": _of_regions(value.regions)}


def _of_observation(value: Observation) -> Json:
    # Points separately: `asdict` copies each, which costs more than all other writing of a film.
    columns = asdict(replace(value, line=(), regions=()))
    return {**columns, "line": value.line, "regions": _of_regions(value.regions)}


def _of_code(code: Code) -> Json:
    return {"code_value": code.value, "code_scheme": code.scheme_designator, "code_meaning": code.meaning}


def _of_optional_code(code: Code | None) -> Json | None:
    return asdict(code) if code else None


def _of_regions(regions: tuple[Region, ...]) -> list[tuple[Point, ...]]:
    return [region.outline for region in regions]


def _structure(stored: Json) -> Structure:
    return Structure(**{**stored, "regions": _regions(stored["regions"])})


def _appearance(stored: Json | None) -> Appearance | None:
    if stored is None:
        return None
    view = stored["view"]
    return Appearance(**{**stored, "view": View(view) if view else None})


def _observation(stored: Json) -> Observation:
    return Observation(
        **{
            **stored,
            "topic": Topic(stored["topic"]),
            "code": Code(**stored["code"]),
            "value": Code(**stored["value"]),
            "site": _optional_code(stored["site"]),
            "laterality": _laterality(stored["laterality"]),
            "line": _line(stored["line"]),
            "regions": _regions(stored["regions"]),
        }
    )


def _code(columns: RowMapping) -> Code:
    return Code(value=columns["code_value"], scheme_designator=columns["code_scheme"], meaning=columns["code_meaning"])


def _optional_code(stored: Json | None) -> Code | None:
    return Code(**stored) if stored else None


def _laterality(stored: str | None) -> Laterality | None:
    return Laterality(stored) if stored else None


def _line(stored: list[list[float]]) -> tuple[Point, ...]:
    return tuple((column, row) for column, row in stored)


def _region(outline: list[list[float]]) -> Region:
    return Region(outline=_line(outline))


def _regions(stored: list[list[list[float]]]) -> tuple[Region, ...]:
    return tuple(_region(outline) for outline in stored)
