"""The preparation of published models, held against scikit-image, which theirs rests on."""

import numpy as np
import pytest
from skimage.transform import resize

from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.radiograph import Float32, Radiograph, UInt16
from cxr_node.infer import center_crop, prepare
from cxr_node.infer.prepare import Frame


def noise(rows: int, columns: int, *, low: int = 0, high: int = 65536) -> UInt16:
    return np.random.default_rng(rows * columns).integers(low, high, (rows, columns)).astype(np.uint16)


def reduced_by_scikit_image(square: UInt16, size: int) -> Float32:
    values = (2 * (square.astype(np.float32) / 65535) - 1) * 1024
    film: Float32 = resize(values, (size, size), mode="constant", preserve_range=True)  # type: ignore[no-untyped-call]  # scikit-image has no types
    return film


@pytest.mark.slow
@pytest.mark.parametrize("size", [224, 512])
@pytest.mark.parametrize("side", [100, 223, 224, 225, 511, 513, 1024, 2022])
def test_films_become_what_scikit_image_makes_of_them_to_the_last_bits(side: int, size: int) -> None:
    film = noise(side, side)

    prepared = center_crop.prepare(film, size)

    assert prepared.shape == (size, size)
    assert prepared.dtype == np.float32
    assert np.abs(prepared - reduced_by_scikit_image(film, size)).max() <= 2**-13  # two steps of float32 at 1024


@pytest.mark.parametrize(("low", "high"), [(0, 9000), (60000, 65536)])
def test_the_area_beside_a_film_does_not_change_its_border(low: int, high: int) -> None:
    film = noise(600, 600, low=low, high=high)

    prepared = center_crop.prepare(film, 224)

    assert np.abs(prepared - reduced_by_scikit_image(film, 224)).max() <= 2**-13
    assert prepared.max() <= (2 * int(film.max()) / 65535 - 1) * 1024 + 2**-13


@pytest.mark.parametrize(
    ("rows", "columns", "row", "column", "side"),
    [(300, 200, 50, 0, 200), (201, 300, 0, 50, 201), (301, 200, 50, 0, 200), (224, 224, 0, 0, 224)],
)
def test_the_middle_of_the_film_is_taken(rows: int, columns: int, row: int, column: int, side: int) -> None:
    assert center_crop.square(rows, columns) == center_crop.Square(row=row, column=column, side=side)


def test_the_recipe_of_a_frame_decides_what_is_taken_and_how() -> None:
    p_values = noise(300, 240)
    film = Radiograph(p_values=p_values, geometry=Geometry(rows=300, columns=240), grayscale="none")
    frame = Frame(rows=64, columns=64, recipe=center_crop.RECIPE)

    assert np.array_equal(prepare.prepare(film, frame), center_crop.prepare(p_values, 64))
    assert prepare.analysed_area(film.geometry, frame).outline == (
        (0.0, 30.0),
        (240.0, 30.0),
        (240.0, 270.0),
        (0.0, 270.0),
    )
