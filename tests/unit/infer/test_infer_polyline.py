"""Lines with fewer corners."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cxr_node.infer.polyline import Line, simplify_lines, simplify_loops

CORNERS = arrays(np.float64, st.tuples(st.integers(3, 40), st.just(2)), elements=st.floats(-50, 50, width=16))


def distance(corner: Line, start: Line, end: Line) -> float:
    length = math.dist(start, end)
    if length == 0:
        return math.dist(corner, start)
    share = min(1.0, max(0.0, float((corner - start) @ (end - start)) / length**2))
    return math.dist(corner, start + share * (end - start))


@pytest.mark.slow
@given(line=CORNERS, tolerance=st.floats(0.01, 20))
def test_every_corner_left_out_lies_near_the_piece_that_replaces_it(line: Line, tolerance: float) -> None:
    (simplified,) = simplify_lines([line], tolerance)

    assert (simplified[0] == line[0]).all()
    assert (simplified[-1] == line[-1]).all()
    assert len(simplified) <= len(line)
    for corner in line:
        nearest = min(distance(corner, *piece) for piece in pairwise(simplified))
        assert nearest <= tolerance + 1e-9


@pytest.mark.slow
@given(line=CORNERS)
def test_a_loop_keeps_at_least_three_corners(line: Line) -> None:
    assert all(len(simplified) >= 3 for simplified in simplify_loops([line, line], 1000.0))


def test_a_square_with_corners_along_its_sides_is_a_square() -> None:
    sides = np.array([(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2), (0, 1)], np.float64)

    assert [simplified.tolist() for simplified in simplify_loops([sides], 0.1)] == [[[0, 0], [2, 0], [2, 2], [0, 2]]]


@pytest.mark.slow
@given(lines=st.lists(CORNERS, min_size=1, max_size=4), tolerance=st.floats(0.01, 20))
def test_lines_thinned_together_are_those_thinned_alone(lines: list[Line], tolerance: float) -> None:
    together = simplify_lines(lines, tolerance)

    assert [simplified.tolist() for simplified in together] == [
        simplify_lines([line], tolerance)[0].tolist() for line in lines
    ]
