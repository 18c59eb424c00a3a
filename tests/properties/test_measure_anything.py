"""Whatever a model outlines on whatever film: nothing raises, and every number has its place on the film."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.film_geometry import Geometry, PixelSpacing, SpacingSource, View
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Region, Structure
from cxr_node.measure.film import measure_film

_ROWS, _COLUMNS = 96, 80
_POINTS = st.tuples(st.floats(-5, _COLUMNS + 5), st.floats(-5, _ROWS + 5))
_OUTLINES = st.lists(st.lists(_POINTS, min_size=1, max_size=12).map(tuple), max_size=3)
_BOXES = st.tuples(st.integers(0, 60), st.integers(0, 70), st.integers(2, 60), st.integers(2, 60)).map(
    lambda box: [
        (
            (float(box[0]), float(box[1])),
            (float(box[0] + box[2]), float(box[1])),
            (float(box[0] + box[2]), float(box[1] + box[3])),
            (float(box[0]), float(box[1] + box[3])),
        )
    ]
)
_STRUCTURES = st.fixed_dictionaries({part: st.one_of(_OUTLINES, _BOXES) for part in Anatomy})


@pytest.mark.slow
@settings(max_examples=60)
@given(outlines=_STRUCTURES, seed=st.integers(0, 99), spaced=st.booleans(), flat=st.booleans())
def test_any_outline_gives_finite_numbers_on_the_film(
    outlines: dict[Anatomy, list[tuple[tuple[float, float], ...]]], seed: int, spaced: bool, flat: bool
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 2 if flat else 65536, (_ROWS, _COLUMNS)).astype(np.uint16)
    spacing = PixelSpacing(row_mm=4.0, column_mm=4.0, source=SpacingSource.UNSPECIFIED) if spaced else None
    geometry = Geometry(rows=_ROWS, columns=_COLUMNS, spacing=spacing, view=View.AP)
    film = Radiograph(p_values=pixels, geometry=geometry, grayscale="")
    structures = [
        Structure(key=part, confidence=0.7, regions=tuple(Region(outline=outline) for outline in result))
        for part, result in outlines.items()
    ]

    result = measure_film(film, structures)

    for entry in result.measurements:
        assert math.isfinite(entry.value)
        assert len(entry.line) >= 2
    lines = [*(entry.line for entry in result.measurements), *(entry.line for entry in result.observations)]
    for column, row in (point for line in lines for point in line):
        assert -40 <= column <= _COLUMNS + 40
        assert -40 <= row <= _ROWS + 40
    keys = [entry.key for entry in result.measurements]
    assert len(set(keys)) == len(keys)
    assert len({entry.key for entry in result.observations}) == len(result.observations)


@pytest.mark.slow
@settings(max_examples=30)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), aspect=st.floats(0.2, 5))
def test_no_size_or_shape_of_film_raises(rows: int, columns: int, aspect: float) -> None:
    pixels = np.zeros((rows, columns), np.uint16)
    geometry = Geometry(rows=rows, columns=columns, aspect_ratio=aspect)
    whole = Region(outline=((0.0, 0.0), (float(columns), 0.0), (float(columns), float(rows)), (0.0, float(rows))))
    structures = [Structure(key=part, confidence=0.5, regions=(whole,)) for part in Anatomy]

    assert measure_film(Radiograph(p_values=pixels, geometry=geometry, grayscale=""), structures).observations
