"""Conversion of a reading to columns and JSON, and back without loss.

In JSON a dataclass has its fields by name, and a region is its outline. The types of the fields say how each is read
back, so that a new field in JSON needs no change here. Numbers are as they were written: 1 stays 1, not 1.0.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache, partial
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from cxr_node.domain.codes import Code
from cxr_node.domain.instance import Identity
from cxr_node.domain.reading import (
    CascadeStep,
    Embedding,
    Finding,
    HeatMap,
    Measurement,
    ModelIdentity,
    NamedPoint,
    Prediction,
    Reading,
    Region,
)

_T = TypeVar("_T")
_AS_THEY_ARE = frozenset({str, float, int, bool, NoneType})
Json = dict[str, Any]
_CODE = {"value": "code_value", "scheme_designator": "code_scheme", "meaning": "code_meaning"}
_MODEL = {
    **{name: f"model_{name}" for name in ("name", "version", "manufacturer")},
    **{name: name for name in ("weights_digest", "preparation", "operating_points")},
}


def of_reading(value: Reading) -> Json:
    """Return the columns of a reading; findings, points, steps and measurements have their own tables."""
    columns = _columns(value, "not_analysed", "detail", "notes", "geometry", "grayscale", "observations")
    if value.prediction is None:
        return columns
    of_prediction = _columns(value.prediction, "analysed_area", "structures", "appearance")
    return {**columns, **of_prediction, **_spread(value.prediction.model, _MODEL)}


def of_finding(value: Finding) -> Json:
    """Return the columns of a finding; its heat map has its own table."""
    columns = _columns(value, *_names(value, "code", "heat", "model"))
    return {**columns, **_spread(value.code, _CODE), **_spread(value.model, _MODEL)}


def of_point(value: NamedPoint) -> Json:
    """Return the columns of a named point."""
    columns = _columns(value, *_names(value, "code", "at", "model"))
    column_px, row_px = value.at
    place = {"column_px": column_px, "row_px": row_px}
    return {**columns, **place, **_spread(value.code, _CODE), **_spread(value.model, _MODEL)}


def of_embedding(value: Embedding) -> Json:
    """Return the columns of an embedding."""
    return {"vector": value.vector, **_spread(value.model, _MODEL)}


def of_step(value: CascadeStep) -> Json:
    """Return the columns of a bundle of a cascade; second opinions have their own table."""
    columns = _columns(value, *_names(value, "model", "second_opinions"))
    return {**columns, **_spread(value.model, _MODEL)}


def of_second_opinion(value: Finding) -> Json:
    """Return the columns of a second opinion, which has neither places nor a heat map."""
    columns = _columns(value, "key", "site", "score", "operating_point", "presence", "calibrated")
    return {**columns, **_spread(value.code, _CODE)}


def of_measurement(value: Measurement) -> Json:
    """Return the columns of a measurement."""
    return {**_columns(value, *_names(value, "code")), **_spread(value.code, _CODE)}


def of_heat_map(value: HeatMap) -> Json:
    """Return the columns of a heat map; its levels are compressed, as most of them are low."""
    return {**_columns(value, "rows", "columns", "area"), "levels": zlib.compress(value.levels, 9)}


def reading(
    columns: Mapping[Any, Any],
    film: Identity,
    *,
    findings: tuple[Finding, ...],
    steps: tuple[CascadeStep, ...],
    points: tuple[NamedPoint, ...],
    embeddings: tuple[Embedding, ...],
    measurements: tuple[Measurement, ...],
) -> Reading:
    """Return a reading from its columns."""
    prediction = None
    if not columns["not_analysed"]:
        model = _gather(ModelIdentity, columns, _MODEL)
        prediction = _value(
            Prediction, columns, model=model, findings=findings, steps=steps, points=points, embeddings=embeddings
        )
    return _value(Reading, columns, film=film, prediction=prediction, measurements=measurements)


def step(columns: Mapping[Any, Any], second_opinions: tuple[Finding, ...]) -> CascadeStep:
    """Return a bundle of a cascade from its columns."""
    model = _gather(ModelIdentity, columns, _MODEL)
    return _value(CascadeStep, columns, model=model, second_opinions=second_opinions)


def heat_map(columns: Mapping[Any, Any]) -> HeatMap:
    """Return a heat map from its columns."""
    cells = columns["rows"] * columns["columns"]
    return _value(HeatMap, columns, levels=zlib.decompressobj().decompress(columns["levels"], cells))


def finding(columns: Mapping[Any, Any], heat: HeatMap | None = None) -> Finding:
    """Return a finding, or a second opinion, from its columns."""
    return _value(Finding, columns, code=_gather(Code, columns, _CODE), heat=heat, model=_own_model(columns))


def point(columns: Mapping[Any, Any]) -> NamedPoint:
    """Return a named point from its columns."""
    at = columns["column_px"], columns["row_px"]
    return _value(NamedPoint, columns, code=_gather(Code, columns, _CODE), at=at, model=_own_model(columns))


def embedding(columns: Mapping[Any, Any]) -> Embedding:
    """Return an embedding from its columns."""
    return Embedding(vector=bytes(columns["vector"]), model=_own_model(columns))


def measurement(columns: Mapping[Any, Any]) -> Measurement:
    """Return a measurement from its columns."""
    return _value(Measurement, columns, code=_gather(Code, columns, _CODE))


def _spread(value: object, columns: Mapping[str, str]) -> Json:
    """Return the columns of a value that has one for each field; all empty without a value."""
    return {column: None if value is None else getattr(value, name) for name, column in columns.items()}


def _gather(kind: Callable[..., _T], stored: Mapping[Any, Any], columns: Mapping[str, str]) -> _T:
    return kind(**{name: stored[column] for name, column in columns.items()})


def _own_model(columns: Mapping[Any, Any]) -> ModelIdentity | None:
    """Return the model of a row; None for that of the reading."""
    return _gather(ModelIdentity, columns, _MODEL) if columns.get("model_name") else None


def _names(value: Any, *without: str) -> list[str]:
    kind: Any = type(value)
    return [name for name in _fields(kind) or () if name not in without]


@cache
def _fields(kind: Any) -> tuple[str, ...] | None:
    """Return the names of a dataclass's fields; None for another type."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None


def _columns(value: object, *names: str) -> Json:
    return {name: _json(getattr(value, name)) for name in names}


def _json(value: Any) -> Any:
    """Return what JSON writes for a value. Points are not copied: copies cost more than all other writing of a film."""
    kind: Any = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is Region:
        return value.outline
    names = _fields(kind)
    if names is not None:
        return {name: _json(getattr(value, name)) for name in names}
    if kind is tuple and value and is_dataclass(value[0]):
        return [_json(element) for element in value]
    return value


def _value(kind: Callable[..., _T], stored: Mapping[Any, Any], **converted: Any) -> _T:
    """Return a dataclass from its stored fields; a field that was not stored has its default."""
    for name, convert in _conversions(kind).items():
        if name in stored and name not in converted:
            converted[name] = convert(stored[name])
    return kind(**converted)


@cache
def _conversions(kind: Any) -> dict[str, Callable[[Any], Any]]:
    """Return the conversion from JSON of each field of a dataclass."""
    return {name: _conversion(hint) for name, hint in get_type_hints(kind).items()}


def _conversion(hint: Any) -> Callable[[Any], Any]:
    inner, *others = get_args(hint) or (hint,)
    if NoneType in others:
        convert = _conversion(inner)
        return lambda stored: None if stored is None else convert(stored)
    if Ellipsis in others:
        convert = _conversion(inner)
        return lambda stored: tuple(map(convert, stored or ()))
    if others:  # a pair, such as a point
        return tuple
    if hint is Region:
        return lambda outline: Region(outline=tuple(map(tuple, outline)))
    if is_dataclass(hint) and isinstance(hint, type):
        return partial(_value, hint)
    return hint if isinstance(hint, type) and issubclass(hint, StrEnum) else lambda stored: stored
