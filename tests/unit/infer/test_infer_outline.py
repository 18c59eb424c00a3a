"""Outlines of activation maps."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from cxr_node.domain.reading import Region
from cxr_node.infer.outline import MAX_REGIONS, center, regions


def _film(*, rows: int, columns: int, left: int = 0, top: int = 0) -> Region:
    right, bottom = left + columns, top + rows
    return Region(outline=((left, top), (right, top), (right, bottom), (left, bottom)))


def _area(region: Region) -> float:
    """The shoelace formula."""
    points = region.outline
    pairs = zip(points, (*points[1:], points[0]), strict=True)
    return abs(sum(x * b - a * y for (x, y), (a, b) in pairs)) / 2


def test_a_bright_square_is_outlined_where_it_lies() -> None:
    activation = np.zeros((16, 16), np.float32)
    activation[4:8, 10:14] = 1.0

    (region,) = regions(activation, _film(rows=1600, columns=3200))

    columns, rows = zip(*region.outline, strict=True)
    assert 1900 <= min(columns) <= 2100
    assert 2700 <= max(columns) <= 2900
    assert 350 <= min(rows) <= 450
    assert 750 <= max(rows) <= 850
    assert 0.7 * 800 * 400 < _area(region) < 1.3 * 800 * 400


def test_a_map_of_a_window_is_outlined_within_it() -> None:
    activation = np.zeros((16, 16), np.float32)
    activation[4:8, 10:14] = 1.0

    (whole,) = regions(activation, _film(rows=160, columns=320))
    (shifted,) = regions(activation, _film(rows=160, columns=320, left=40, top=30))

    assert shifted.outline == tuple((column + 40, row + 30) for column, row in whole.outline)


def test_two_places_are_two_regions_the_stronger_first() -> None:
    activation = np.zeros((16, 16), np.float32)
    activation[2:5, 2:5] = 0.9
    activation[10:14, 10:14] = 1.0

    outlined = regions(activation, _film(rows=16, columns=16))

    assert [center(region)[0] > 8 for region in outlined] == [True, False]


def test_a_speck_beside_a_strong_place_is_left_out() -> None:
    activation = np.zeros((16, 16), np.float32)
    activation[1, 1] = 1.0
    activation[6:14, 6:14] = 1.0

    assert len(regions(activation, _film(rows=16, columns=16))) == 1


def test_a_map_without_contrast_has_no_regions() -> None:
    assert regions(np.full((16, 16), 3.0, np.float32), _film(rows=16, columns=16)) == ()


def test_the_level_does_not_depend_on_the_scale_of_the_map() -> None:
    activation = np.random.default_rng(3).normal(size=(16, 16)).astype(np.float32)

    assert regions(activation, _film(rows=99, columns=77)) == regions(activation * 8 - 32, _film(rows=99, columns=77))


@pytest.mark.slow
@given(numpy_strategies.arrays(np.float32, (9, 7), elements=st.floats(-8, 8, width=16)))
def test_outlines_are_closed_figures_on_the_film(activation: npt.NDArray[np.float32]) -> None:
    outlined = regions(activation, _film(rows=90, columns=70))

    assert len(outlined) <= MAX_REGIONS
    for region in outlined:
        assert len(region.outline) >= 3
        # A part that touches itself in a corner is walked through it twice, never from one place to the same.
        assert all(one != other for one, other in pairwise((*region.outline, region.outline[0])))
        assert _area(region) > 0
        assert all(0 <= column <= 70 and 0 <= row <= 90 for column, row in region.outline)
