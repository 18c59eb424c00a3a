"""From a film to a network's input."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.radiograph import Geometry, Radiograph, UInt16
from cxr_node.infer.prepare import analysed_area, batch, prepare


def _film(p_values: UInt16) -> Radiograph:
    rows, columns = p_values.shape
    return Radiograph(p_values=p_values, geometry=Geometry(rows=rows, columns=columns), grayscale="drawn")


def test_each_value_is_the_mean_of_its_bin() -> None:
    p_values = np.array([[0, 65535, 0, 0], [65535, 0, 0, 0], [0, 0, 65535, 65535], [0, 0, 65535, 65535]], np.uint16)

    prepared = prepare(_film(p_values), side=2)

    assert prepared.tolist() == [[0.5, 0.0], [0.0, 1.0]]


def test_a_small_film_repeats_its_pixels() -> None:
    prepared = prepare(_film(np.array([[0, 65535]], np.uint16)), side=4)

    assert prepared.tolist() == [[0.0, 0.0, 1.0, 1.0]] * 4


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(0, 65535))
def test_a_film_of_one_gray_stays_that_gray_at_any_size(rows: int, columns: int, side: int, gray: int) -> None:
    prepared = prepare(_film(np.full((rows, columns), gray, np.uint16)), side=side)

    assert prepared.shape == (side, side)
    assert prepared.dtype == np.float32
    assert np.all(prepared == np.float32(gray / 65535))


def test_a_large_white_film_does_not_overflow() -> None:
    prepared = prepare(_film(np.full((9000, 40), 65535, np.uint16)), side=32)

    assert np.all(prepared == 1.0)


def test_the_whole_film_is_analysed() -> None:
    film = _film(np.zeros((30, 20), np.uint16))

    assert analysed_area(film).outline == ((0.0, 0.0), (20.0, 0.0), (20.0, 30.0), (0.0, 30.0))


def test_films_make_one_batch() -> None:
    prepared = prepare(_film(np.zeros((30, 20), np.uint16)), side=32)

    assert batch([prepared, prepared]).shape == (2, 1, 32, 32)
