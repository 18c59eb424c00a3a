"""From a film to a network's input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.radiograph import Radiograph, UInt16
from cxr_node.infer.prepare import Frame, analysed_area, prepare


def _film(p_values: UInt16) -> Radiograph:
    rows, columns = p_values.shape
    return Radiograph(p_values=p_values, geometry=Geometry(rows=rows, columns=columns), grayscale="drawn")


def test_each_value_is_the_mean_of_its_bin() -> None:
    p_values = np.array([[0, 65535, 0, 0], [65535, 0, 0, 0], [0, 0, 65535, 65535], [0, 0, 65535, 65535]], np.uint16)

    prepared = prepare(_film(p_values), Frame(rows=2, columns=2))

    assert prepared.tolist() == [[0.5, 0.0], [0.0, 1.0]]


def test_a_small_film_repeats_its_pixels() -> None:
    prepared = prepare(_film(np.array([[0, 65535]], np.uint16)), Frame(rows=4, columns=4))

    assert prepared.tolist() == [[0.0, 0.0, 1.0, 1.0]] * 4


@pytest.mark.slow
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(0, 65535))
def test_a_film_of_one_gray_stays_that_gray_at_any_size(rows: int, columns: int, side: int, gray: int) -> None:
    prepared = prepare(_film(np.full((rows, columns), gray, np.uint16)), Frame(rows=side, columns=side + 1))

    assert prepared.shape == (side, side + 1)
    assert prepared.dtype == np.float32
    assert np.all(prepared == np.float32(gray / 65535))


def test_a_large_white_film_does_not_overflow() -> None:
    prepared = prepare(_film(np.full((9000, 40), 65535, np.uint16)), Frame(rows=32, columns=32))

    assert np.all(prepared == 1.0)


def test_only_the_window_is_taken() -> None:
    p_values = np.zeros((8, 8), np.uint16)
    p_values[2:6, 4:8] = 65535

    window = Frame(rows=2, columns=2, left=0.5, top=0.25, right=1.0, bottom=0.75)

    assert np.all(prepare(_film(p_values), window) == 1.0)
    assert analysed_area(_film(p_values).geometry, window).outline == ((4.0, 2.0), (8.0, 2.0), (8.0, 6.0), (4.0, 6.0))


def test_a_window_smaller_than_a_pixel_takes_one() -> None:
    window = Frame(rows=2, columns=2, left=0.99, top=0.99, right=1.0, bottom=1.0)

    assert prepare(_film(np.full((4, 4), 65535, np.uint16)), window).tolist() == [[1.0, 1.0], [1.0, 1.0]]
