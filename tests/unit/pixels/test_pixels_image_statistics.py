"""What the picture tells: polarity, use of the gray scale, text drawn into it; and the display picture."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.radiograph import WHITE, Radiograph, UInt16
from cxr_node.domain.reasons import Note
from cxr_node.pixels import image_statistics
from cxr_node.pixels.display import png
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.suitability import judge_picture
from tests.support.pixel_films import chest, data_set, written

CHEST: UInt16 = chest(1024, 800, bits=16).astype(np.uint16)
REVERSED: UInt16 = (WHITE - CHEST.astype(np.int32)).astype(np.uint16)


def film(p_values: UInt16, *, aspect_ratio: float = 1.0) -> Radiograph:
    rows, columns = p_values.shape
    return Radiograph(
        p_values=p_values, geometry=Geometry(rows=rows, columns=columns, aspect_ratio=aspect_ratio), grayscale=""
    )


def lettered(p_values: UInt16, text: str, *, at: tuple[int, int] = (20, 20), size: int = 22) -> UInt16:
    """Return the picture with white letters drawn into it, sharp as a computer draws them."""
    letters = Image.new("1", (p_values.shape[1], p_values.shape[0]))
    ImageDraw.Draw(letters).text(at, text, fill=1, font=ImageFont.load_default(size))
    return np.where(np.asarray(letters), np.uint16(WHITE), p_values)


def test_a_chest_is_not_reversed_and_its_negative_is() -> None:
    assert not image_statistics.polarity(CHEST).is_reversed
    assert image_statistics.polarity(REVERSED).is_reversed


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_chest_lying_on_its_side_or_head_is_not_taken_for_a_negative(turn: int) -> None:
    assert not image_statistics.polarity(np.rot90(CHEST, turn)).is_reversed


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (40, 31), (33, 4000)])
def test_a_picture_of_any_shape_has_a_polarity(shape: tuple[int, int]) -> None:
    assert not image_statistics.polarity(np.full(shape, 7, np.uint16)).is_reversed
    assert image_statistics.thumbnail(np.full(shape, WHITE, np.uint16)).min() == pytest.approx(1.0)


def wrongly_labelled(**changes: object) -> Radiograph:
    elements = {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 2048, "WindowWidth": 4096}
    return radiograph(parse(written(data_set(chest(), changes=elements | changes))), limits=Limits())


def test_a_wrong_polarity_is_corrected_and_noted() -> None:
    righted = wrongly_labelled()
    rightly = wrongly_labelled(PhotometricInterpretation="MONOCHROME2")
    assert righted.notes == (Note.POLARITY_CORRECTED,)
    assert np.array_equal(righted.p_values, rightly.p_values)


@pytest.mark.parametrize(
    "changes",
    [
        {"BodyPartExamined": "HIP"},
        {"ViewPosition": "LL"},
        {"PatientOrientation": ["F", "R"]},
        {"PatientSpeciesDescription": "CANINE"},
    ],
)
def test_polarity_is_corrected_on_upright_frontal_human_chests_only(changes: dict[str, object]) -> None:
    assert wrongly_labelled(**changes).notes == ()


def test_letters_drawn_into_a_film_are_noticed() -> None:
    text = lettered(CHEST, "FILMER TESTA 01.02.1960 PORTABLE")
    assert not image_statistics.has_text(CHEST)
    assert image_statistics.has_text(text)
    assert judge_picture(film(text), Rules()).notes == (Note.BURNED_IN_TEXT,)


def test_a_side_marker_is_no_text() -> None:
    assert not image_statistics.has_text(lettered(CHEST, "L", size=60))


def test_the_gray_scale_in_use_is_measured() -> None:
    half = np.repeat(np.array([[0, WHITE]], np.uint16), 512, axis=0).repeat(256, axis=1)
    assert image_statistics.brightness(half) == image_statistics.Brightness(spread=1.0, black=0.5, white=0.5)


def test_the_display_picture_has_every_pixel_of_the_film_in_8_bits() -> None:
    with Image.open(io.BytesIO(png(film(CHEST)))) as shown:
        assert (shown.format, shown.mode) == ("PNG", "L")
        assert np.array_equal(np.asarray(shown), np.rint(CHEST / 257).astype(np.uint8))
        assert shown.info == {}


def test_a_smaller_display_picture_keeps_its_proportions() -> None:
    with Image.open(io.BytesIO(png(film(CHEST), longest_side=256))) as shown:
        assert shown.size == (200, 256)


@pytest.mark.parametrize(("aspect_ratio", "size"), [(2.0, (800, 2048)), (0.5, (1600, 1024))])
def test_pixels_that_are_not_square_are_shown_square(aspect_ratio: float, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(png(film(CHEST, aspect_ratio=aspect_ratio)))) as shown:
        assert shown.size == size


@pytest.mark.parametrize("share", [0.0, 0.05, 0.37, 0.5, 0.95, 1.0])
def test_percentiles_of_counts_are_those_of_the_values(share: float) -> None:
    numbers = np.random.default_rng(2)
    for size in (1, 2, 7, 1_000, 4_097):
        values = numbers.integers(0, WHITE + 1, size).astype(np.uint16) >> np.uint16(numbers.integers(0, 14))
        counts = np.bincount(values, minlength=WHITE + 1)
        assert image_statistics.percentile(counts, share) == float(np.percentile(values, 100 * share))


@pytest.mark.parametrize("shape", [(40, 33), (20, 300), (1031, 777)])
def test_a_thumbnail_has_the_means_of_equal_parts(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(4).integers(0, WHITE + 1, shape).astype(np.uint16)
    sampled = values[:: max(1, min(shape) // 512), :: max(1, min(shape) // 512)].astype(np.float64)
    edges = [np.append(np.arange(32) * length // 32, length) for length in sampled.shape]
    for row, column in ((0, 0), (5, 31), (31, 17)):
        (top, bottom), (left, right) = edges[0][row : row + 2], edges[1][column : column + 2]
        part = sampled[top : max(bottom, top + 1), left : max(right, left + 1)]
        assert image_statistics.thumbnail(values)[row, column] == part.sum() / (part.size * WHITE)
