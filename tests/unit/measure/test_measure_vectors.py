"""Measurements on whole masks at once give the numbers of a row or column at a time."""

import numpy as np
import pytest
from PIL import Image

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.film_geometry import View
from cxr_node.domain.geometry import fill_with_border, toggle_with_border
from cxr_node.domain.reading import Laterality
from cxr_node.measure import proportions
from cxr_node.measure.borders import profiles, sample, sides
from cxr_node.measure.grid import Grid, build_grid, reduce_for_measurement
from cxr_node.measure.interfaces import find_corner, find_interfaces
from cxr_node.phantom.film import film
from tests.support import phantom_outlines


@pytest.fixture(scope="module")
def grid() -> Grid:
    phantom = film(seed=11, view=View.PA)
    picture = reduce_for_measurement(phantom_outlines.radiograph(phantom))
    return build_grid(picture, phantom_outlines.structures(phantom))


def test_the_trachea_deviates_by_the_medians_of_its_rows(grid: Grid) -> None:
    trachea, spine = grid.mask(Anatomy.TRACHEA).copy(), grid.mask(Anatomy.SPINE)
    gap = int(np.flatnonzero(trachea.any(1))[len(np.flatnonzero(trachea.any(1))) // 2])
    trachea[gap] = False
    rows = np.flatnonzero(trachea.any(1))
    first, last = (int(rows[0] + share * np.ptp(rows)) for share in (0.15, 0.85))
    level = [row for row in range(first, last + 1) if trachea[row].any() and spine[row].any()]
    middles = [
        [float(np.flatnonzero(mask[row])[0] + np.flatnonzero(mask[row])[-1] + 1) / 2 for row in level]
        for mask in (trachea, spine)
    ]

    assert gap not in level
    assert proportions.tracheal_deviation(trachea, spine)[0] == np.median(middles[0]) - np.median(middles[1])


@pytest.mark.parametrize("side", [Laterality.RIGHT, Laterality.LEFT])
def test_a_corner_has_the_outer_edge_of_each_row_and_column(grid: Grid, side: Laterality) -> None:
    lung = grid.mask(Anatomy.RIGHT_LUNG if side is Laterality.RIGHT else Anatomy.LEFT_LUNG)
    corner = find_corner(lung, side, 300.0)
    assert corner is not None

    for column, row in corner.wall:
        columns = np.flatnonzero(lung[int(row)])
        assert column == (columns[0] if side is Laterality.RIGHT else columns[-1] + 1)
    for column, row in corner.dome:
        assert row == np.flatnonzero(lung[:, int(column)])[-1] + 1


def test_profiles_are_sampled_point_by_point(grid: Grid) -> None:
    interface = find_interfaces(grid.masks, 300.0)[Border.LEFT_HEART_BORDER]
    points = interface.points[:, None] + np.arange(-16, 17)[None, :, None] * interface.toward[:, None]
    across = sample(grid.brightness, points.reshape(-1, 2)).reshape(len(interface), -1)
    averaged = np.stack([across[at : at + 11].sum(0) / 11 for at in range(len(across) - 10)])
    dense, lung = sides(grid.brightness, interface)

    assert profiles(grid.brightness, interface)[: len(averaged)] == pytest.approx(averaged, abs=1e-12)
    assert dense == pytest.approx(across[:, 4:14].mean(1))
    assert lung == pytest.approx(across[:, 19:29].mean(1))


def test_a_toggled_outline_leaves_the_rest_of_a_mask() -> None:
    triangle, square = [(5.0, 3.0), (30.0, 8.5), (11.2, 33.0)], [(0.0, 0.0), (20.0, 0.0), (20.0, 20.0), (0.0, 20.0)]
    mask = fill_with_border(square, (40, 36))
    toggle_with_border(mask, triangle)

    assert np.array_equal(mask, fill_with_border(square, (40, 36)) ^ fill_with_border(triangle, (40, 36)))
    assert Image.fromarray(mask).getbbox() == (0, 0, 30, 33)
