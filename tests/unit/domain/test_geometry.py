"""Polygons: area, centroid, point in polygon, fill. Orientations: pixels and points."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from cxr_node.domain.geometry import (
    Orientation,
    fill,
    fill_band,
    fill_with_border,
    is_inside,
    polygon_area,
    polygon_centroid,
)
from cxr_node.domain.reading import Point

COORDINATES = st.floats(-9, 40, allow_nan=False, width=32)
OUTLINES = st.lists(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=9), min_size=1, max_size=3)
SQUARE = np.array([(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2), (0, 1)], np.float64)


def _crosses_oddly(point: Point, outlines: Sequence[Sequence[Point]]) -> bool:
    """Whether a ray from `point` to the left crosses an odd number of edges: the even-odd rule, edge by edge."""
    crossings = 0
    for outline in outlines:
        for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True):
            if (y0 <= point[1]) != (y1 <= point[1]):
                crossings += x0 + (point[1] - y0) * ((x1 - x0) / (y1 - y0)) <= point[0]
    return crossings % 2 == 1


@pytest.mark.slow
@given(OUTLINES)
def test_a_pixel_is_inside_if_its_center_is_by_the_even_odd_rule(outlines: list[list[Point]]) -> None:
    expected = [[_crosses_oddly((column + 0.5, row + 0.5), outlines) for column in range(30)] for row in range(24)]
    assert np.array_equal(fill(outlines, (24, 30)), expected)


@pytest.mark.slow
@given(OUTLINES)
def test_a_band_is_the_filled_rows_from_an_aligned_one_on(outlines: list[list[Point]]) -> None:
    top, band = fill_band(outlines, (24, 30), align=8)
    mask = fill(outlines, (24, 30))
    assert top % 8 == 0
    assert np.array_equal(mask[top : top + len(band)], band)
    assert mask.sum() == band.sum()


def test_a_center_on_an_edge_keeps_the_side_that_earlier_results_have() -> None:
    """The edge meets the center of (25, 7) but for the last digit; another side would give a mask another UID."""
    assert fill([[(0.5, 0.5), (14.5, 50.5), (0.5, 50.5)]], (50, 50))[25].nonzero()[0].tolist() == list(range(8))


def test_no_polygon_fills_no_pixel() -> None:
    assert not fill([], (4, 5)).any()


def test_point_in_polygon_agrees_with_the_filled_mask() -> None:
    outline = [(2.2, 1.1), (17.9, 4.3), (9.7, 8.8), (13.1, 18.6), (4.4, 12.0)]
    expected = [[is_inside((column + 0.5, row + 0.5), outline) for column in range(20)] for row in range(20)]
    assert np.array_equal(fill([outline], (20, 20)), expected)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_area_and_centroid_of_a_square_far_from_the_origin(offset: float) -> None:
    assert polygon_area(SQUARE + offset) == polygon_area(SQUARE[::-1] + offset) == 4.0
    assert polygon_centroid(SQUARE + offset) == (1 + offset, 1 + offset)


def test_a_polygon_without_an_area_has_none() -> None:
    assert polygon_area([(0.0, 0.0), (2.0, 2.0), (1.0, 1.0)]) == 0.0


def test_fill_agrees_with_pillow_except_along_the_border() -> None:
    generator = np.random.default_rng(5)
    for _ in range(20):
        corners = generator.integers(0, 59, (5, 2)).astype(float)
        differing = fill([corners + 0.5], (60, 60)) != fill_with_border(corners + 0.5, (60, 60))
        border = Image.new("1", (60, 60))
        ImageDraw.Draw(border).polygon(corners.ravel().tolist(), outline=1, width=3)
        # Self-crossing polygons: Pillow fills by even-odd too.
        assert not (differing & ~np.asarray(border)).any()


def test_fill_with_border_reaches_left_and_up_to_the_border_pixels() -> None:
    square = [(2.7, 2.7), (6.2, 2.7), (6.2, 6.2), (2.7, 6.2)]
    rows, columns = np.nonzero(fill_with_border(square, (10, 10)))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 5, 2, 5)
    rows, columns = np.nonzero(fill([square], (10, 10)))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 5, 3, 5)


_ONE_AXIS = {"LL", "LR", "RL", "RR", "FF", "FH", "HF", "HH"}
DIRECTIONS = st.tuples(st.sampled_from("LRFH"), st.sampled_from("LRFH")).filter(
    lambda pair: pair[0] + pair[1] not in _ONE_AXIS
)
PICTURE = np.arange(12).reshape(3, 4)


@given(DIRECTIONS)
def test_an_orientation_moves_points_with_the_pixels_they_lie_in(directions: tuple[str, str]) -> None:
    orientation = Orientation.of_directions(*directions)
    assert orientation is not None
    turned = orientation.of_pixels(PICTURE)

    assert turned.shape == orientation.shape(*PICTURE.shape)
    for row, column in np.ndindex(3, 4):
        ((x, y),) = orientation.of_points([(column + 0.5, row + 0.25)], rows=3, columns=4)
        assert turned[int(y), int(x)] == PICTURE[row, column]
    assert np.array_equal(orientation.inverse.of_pixels(turned), PICTURE)


@given(DIRECTIONS)
def test_rotation_and_flip_give_the_same_picture_as_the_orientation(directions: tuple[str, str]) -> None:
    """PS3.3 section C.10.6: rotated clockwise first, then flipped."""
    orientation = Orientation.of_directions(*directions)
    assert orientation is not None

    degrees, flipped = orientation.rotation_and_flip
    rotated = np.rot90(PICTURE, -degrees // 90)

    assert np.array_equal(rotated[:, ::-1] if flipped else rotated, orientation.of_pixels(PICTURE))


@pytest.mark.parametrize("quarter_turns", range(5))
def test_clockwise_turns_the_top_of_a_picture_to_the_right(quarter_turns: int) -> None:
    assert np.array_equal(Orientation.clockwise(quarter_turns).of_pixels(PICTURE), np.rot90(PICTURE, -quarter_turns))


@pytest.mark.parametrize("directions", [("A", "F"), ("P", "F"), ("H", "P"), ("L", "A")])
def test_directions_of_no_frontal_view_have_no_orientation(directions: tuple[str, str]) -> None:
    assert Orientation.of_directions(*directions) is None
