"""Padding at the border and what lies outside the shutter."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reasons import Note
from cxr_node.pixels.background import connected_to_border
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from tests.support.pixel_films import chest, data_set, written

Changes = dict[str, Any]
Mask = npt.NDArray[np.bool_]
WINDOW: Changes = {"WindowCenter": 2048, "WindowWidth": 4096}
RECTANGLE: Changes = {
    "ShutterShape": "RECTANGULAR",
    "ShutterLeftVerticalEdge": 5,
    "ShutterRightVerticalEdge": 40,
    "ShutterUpperHorizontalEdge": 9,
    "ShutterLowerHorizontalEdge": 60,
}
CIRCLE: Changes = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [32, 24], "RadiusOfCircularShutter": 20}
TRIANGLE: Changes = {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 24, 64, 1, 64, 48]}


def shown(stored: npt.NDArray[np.integer], changes: Changes) -> Radiograph:
    return radiograph(parse(written(data_set(stored, changes=WINDOW | changes))), limits=Limits())


def drawn(*rows: str) -> Mask:
    """Return a mask from a drawing, "#" for true."""
    return np.array([[character == "#" for character in row] for row in rows])


def assert_is(mask: Mask | None, expected: Mask) -> None:
    assert mask is not None
    assert np.array_equal(mask, expected)


def test_only_what_hangs_together_with_the_border_is_reached() -> None:
    mask = drawn("##....", ".#.##.", ".#.##.", ".#....", "...###")
    reached = drawn("##....", ".#....", ".#....", ".#....", "...###")
    assert_is(connected_to_border(mask), reached)


def test_a_diagonal_does_not_connect() -> None:
    mask = drawn("#....", ".#...", "..#..", ".....")
    assert_is(connected_to_border(mask), drawn("#....", ".....", ".....", "....."))


def test_nothing_at_the_border_is_nothing() -> None:
    assert connected_to_border(drawn("...", ".#.", "...")) is None


def test_padding_is_black_even_where_its_value_would_be_white() -> None:
    stored = 4095 - chest()
    stored[:6] = 0
    stored[30, 20] = 0

    film = shown(stored, {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 0})

    assert (film.p_values[:6] == 0).all()
    assert film.p_values[30, 20] == 65535


def test_a_padding_range_may_be_stated_either_way_round() -> None:
    stored = 4095 - chest()
    stored[:6] = np.arange(48) + 100
    for ends in ((100, 150), (150, 100)):
        changes: Changes = {"PhotometricInterpretation": "MONOCHROME1"}
        padding: Changes = {"PixelPaddingValue": ends[0], "PixelPaddingRangeLimit": ends[1]}
        assert (shown(stored, changes | padding).p_values[:6] == 0).all()


def test_signed_padding_is_signed() -> None:
    stored = chest() - 2000
    stored[:, :4] = -2048
    signed: Changes = {"PixelRepresentation": 1, "WindowCenter": 0, "PixelPaddingValue": -2048}
    assert np.array_equal(
        shown(stored, signed).p_values[:, 4:], shown(stored, signed | {"PixelPaddingValue": None}).p_values[:, 4:]
    )
    assert (shown(stored, signed | {"PhotometricInterpretation": "MONOCHROME2"}).p_values[:, :4] == 0).all()


def test_padding_does_not_set_the_gray_scale_of_a_film_without_window() -> None:
    stored = chest() // 4 + 1000
    padded = stored.copy()
    padded[:10] = 4095
    no_window: Changes = {"WindowCenter": None, "WindowWidth": None}
    expected = shown(stored[10:], no_window).p_values
    assert np.array_equal(shown(padded, no_window | {"PixelPaddingValue": 4095}).p_values[10:], expected)


def test_a_range_limit_without_a_padding_value_is_ignored() -> None:
    assert np.array_equal(shown(chest(), {"PixelPaddingRangeLimit": 4095}).p_values, shown(chest(), {}).p_values)


def test_outside_a_rectangular_shutter_is_black_and_the_edges_are_open() -> None:
    open_film = np.full((64, 48), 3000)
    film = shown(open_film, RECTANGLE)
    assert film.notes == (Note.SHUTTER,)
    rows, columns = np.nonzero(film.p_values)
    assert (rows.min() + 1, rows.max() + 1, columns.min() + 1, columns.max() + 1) == (9, 60, 5, 40)


def test_outside_a_circular_shutter_is_black() -> None:
    film = shown(np.full((64, 48), 3000), CIRCLE)
    row, column = np.mgrid[1:65, 1:49]
    assert np.array_equal(film.p_values > 0, (row - 32) ** 2 + (column - 24) ** 2 <= 400)


def test_outside_a_polygonal_shutter_is_black() -> None:
    film = shown(np.full((64, 48), 3000), TRIANGLE)
    assert 0.4 < (film.p_values > 0).mean() < 0.6
    assert film.p_values[2, 2] == film.p_values[2, 45] == 0
    assert film.p_values[60, 24] > 0


def test_a_center_on_the_right_edge_of_a_polygonal_shutter_is_black() -> None:
    film = shown(np.full((64, 48), 3000), TRIANGLE | {"VerticesOfThePolygonalShutter": [1, 1, 51, 15, 51, 1]})
    assert film.p_values[25].nonzero()[0].tolist() == list(range(7))


def test_of_several_shapes_all_must_be_open() -> None:
    both = RECTANGLE | CIRCLE | {"ShutterShape": ["RECTANGULAR", "CIRCULAR"]}
    opened = [shown(np.full((64, 48), 3000), shutter).p_values > 0 for shutter in (both, RECTANGLE, CIRCLE)]
    assert np.array_equal(opened[0], opened[1] & opened[2])


@pytest.mark.parametrize(
    "changes",
    [
        RECTANGLE | {"ShutterLeftVerticalEdge": None},
        RECTANGLE | {"ShutterLeftVerticalEdge": 40, "ShutterRightVerticalEdge": 5},
        CIRCLE | {"RadiusOfCircularShutter": 0},
        CIRCLE | {"CenterOfCircularShutter": [32]},
        TRIANGLE | {"VerticesOfThePolygonalShutter": [1, 1, 64, 48]},
        TRIANGLE | {"VerticesOfThePolygonalShutter": [1, 1, 64, 48, 5]},
        RECTANGLE | {"ShutterShape": "BITMAP"},
        {"ShutterShape": "RECTANGULAR"},
    ],
    ids=["no edge", "inside out", "no radius", "half a center", "two corners", "half a corner", "bitmap", "no edges"],
)
def test_a_shutter_that_makes_no_sense_is_ignored(changes: Changes) -> None:
    film = shown(chest(), changes)
    assert np.array_equal(film.p_values, shown(chest(), {}).p_values)
    assert Note.SHUTTER not in film.notes
