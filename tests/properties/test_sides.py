"""No reading has a side that contradicts its header, whatever the header says and whatever the model outlines."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.film import Film
from cxr_node.domain.film_geometry import Geometry, PixelSpacing, SpacingSource, View
from cxr_node.domain.geometry import Orientation
from cxr_node.domain.hanging import hang_geometry, orientation_of
from cxr_node.domain.reading import Laterality, Measurement, Observation, Prediction, Reading, Region, Structure
from cxr_node.measure.grid import MeasurementImage
from cxr_node.pixels.geometry import patient_orientation
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.rules import Rules
from cxr_node.reading.context import ReadRules
from cxr_node.reading.postprocess import build_reading
from cxr_node.reading.preprocess import PreprocessedFilm
from tests.support import films, tiny_bundles
from tests.support.example_counts import counts
from tests.support.node import received
from tests.support.pool import MeanAdapter
from tests.support.stub_prediction import prediction
from tests.support.turned_films import film_row

DIRECTIONS = st.sampled_from(("L", "R", "F", "H", "A", "P", "LA", "RP", "FA", "HL"))
ORIENTATIONS = st.none() | st.tuples(DIRECTIONS, DIRECTIONS)
RULES = ReadRules(gate=Rules(), limits=Limits())
ROWS, COLUMNS = 400, 300
SIDED = (Anatomy.RIGHT_LUNG, Anatomy.LEFT_LUNG, Anatomy.RIGHT_HEMIDIAPHRAGM, Anatomy.LEFT_HEMIDIAPHRAGM)


def _box(left: float, top: float, width: float, height: float) -> tuple[Region, ...]:
    right, bottom = left + width, top + height
    return (Region(outline=((left, top), (right, top), (right, bottom), (left, bottom))),)


@st.composite
def structures(draw: st.DrawFn) -> tuple[Structure, ...]:
    """Return lungs, domes and a heart as boxes on a film as it hangs, the model's sides as drawn."""
    swapped = draw(st.booleans())
    top, height = draw(st.integers(20, 80)), draw(st.integers(150, 240))
    columns = (draw(st.integers(20, 60)), draw(st.integers(170, 210)))
    names = (SIDED[1], SIDED[0], SIDED[3], SIDED[2]) if swapped else SIDED
    regions = [_box(column, top, 80, height) for column in columns]
    domes = [_box(column, top + height, 80, 60) for column in columns]
    heart = _box(110, top + height / 2, 70, height / 2)
    outlines = dict(zip((*names, Anatomy.HEART), [*regions, *domes, heart], strict=True))
    return tuple(Structure(key=key, confidence=0.9, regions=outline) for key, outline in outlines.items())


@cache
def _film() -> Film:
    return film_row(received(films.dx()))


@cache
def _prediction() -> Prediction:
    (predicted,) = prediction([tiny_bundles.film(rows=ROWS, columns=COLUMNS)])
    return predicted


def _read(orientation: tuple[str, str] | None, outlined: Sequence[Structure]) -> Reading:
    spacing = PixelSpacing(row_mm=1.0, column_mm=1.0, source=SpacingSource.DETECTOR)
    hung = Geometry(rows=ROWS, columns=COLUMNS, spacing=spacing, view=View.PA, patient_orientation=orientation)
    rows, columns = orientation_of(hung).shape(ROWS, COLUMNS)
    stored = replace(hung, rows=rows, columns=columns)
    brightness = np.tile(np.linspace(0.1, 0.9, 384, dtype=np.float32), (512, 1))
    film = PreprocessedFilm(
        film=_film(),
        geometry=stored,
        grayscale="",
        notes=(),
        is_adult=True,
        states_frontal_chest=True,
        measurement_image=MeasurementImage(
            brightness=brightness, rows=ROWS, columns=COLUMNS, geometry=hang_geometry(stored)
        ),
    )
    predicted = replace(_prediction(), structures=tuple(outlined))
    return build_reading(film, predicted, RULES, adapter=MeanAdapter())


@pytest.mark.slow
@counts(60, 10_000)
def test_no_side_contradicts_the_header(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(ORIENTATIONS, structures())
    def check(orientation: tuple[str, str] | None, outlined: tuple[Structure, ...]) -> None:
        _expect_sides_of_header(orientation, outlined)

    check()


def _expect_sides_of_header(orientation: tuple[str, str] | None, outlined: tuple[Structure, ...]) -> None:
    reading = _read(orientation, outlined)
    results: list[Measurement | Observation] = [*reading.measurements, *reading.observations]
    sided = [one for one in results if one.laterality and one.line]

    direction = None if orientation is None else Orientation.of_directions(*orientation)
    if direction is None:
        assert not sided
        return
    assert sided
    assert reading.geometry is not None
    for one in sided:
        hung = direction.of_points(one.line, rows=reading.geometry.rows, columns=reading.geometry.columns)
        middle = float(np.mean([column for column, _ in hung]))
        assert one.laterality is (Laterality.RIGHT if middle < COLUMNS / 2 else Laterality.LEFT), one.key


STATED = st.one_of(
    st.lists(st.text("LRAPFHlr X1", max_size=4), max_size=4).map("\\".join).map(str.encode), st.binary(max_size=8)
)


@pytest.mark.slow
@counts(300, 10_000)
def test_any_patient_orientation_is_two_stated_directions_or_unknown(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(STATED)
    def check(stated: bytes) -> None:
        tag = BaseTag(0x00200020)
        element = RawDataElement(tag, "CS", len(stated), stated, 0, False, True, is_raw=True)
        directions = patient_orientation(Dataset({tag: element}))
        if directions is not None:
            values = [value.strip(b" \0").decode().upper() for value in stated.split(b"\\")]
            assert list(directions) == values
            assert all(len(set(direction) & set(axis)) < 2 for direction in directions for axis in ("LR", "AP", "FH"))

    check()
