"""Color and palette films: gray where all channels agree, refused where they show color."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import UInt16
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from tests.support.pixel_films import chest, data_set, encoded, written

Changes = dict[str, Any]
GRAY = chest(bits=8).astype("u1")
EXPECTED = GRAY.astype(np.uint16) * 257


def color_film(channels: npt.NDArray[np.uint8], changes: Changes | None = None) -> Dataset:
    """Return a film of three channels, shape (rows, columns, 3), 8 bits each."""
    elements: Changes = {
        "BitsAllocated": 8,
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
    }
    film = data_set(channels[..., 0], bits_stored=8, changes=elements | (changes or {}))
    planes = channels.transpose(2, 0, 1) if film.PlanarConfiguration == 1 else channels
    film.PixelData = planes.tobytes()
    return film


def shown(content: bytes) -> UInt16:
    return radiograph(parse(content), limits=Limits()).p_values


def refusal(content: bytes) -> Reason:
    with pytest.raises(GiveUp) as gave_up:
        shown(content)
    return gave_up.value.reason


def equal(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.repeat(gray[..., None], 3, axis=2)


@pytest.mark.slow
@pytest.mark.parametrize("planar_configuration", [0, 1])
@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.RLELossless, uid.JPEGLSLossless]
)
def test_equal_channels_are_gray(planar_configuration: int, syntax: uid.UID) -> None:
    film = color_film(equal(GRAY), {"PlanarConfiguration": planar_configuration})
    assert np.array_equal(shown(encoded(film, syntax)), EXPECTED)


@pytest.mark.slow
def test_channels_that_lossy_jpeg_has_moved_apart_a_little_are_gray() -> None:
    p_values = shown(encoded(color_film(equal(GRAY)), uid.JPEGBaseline8Bit))
    assert np.abs(p_values.astype(int) - EXPECTED).mean() < 5 * 257


def test_ybr_without_color_is_its_luminance() -> None:
    ybr = np.stack([GRAY, np.full_like(GRAY, 128), np.full_like(GRAY, 128)], axis=-1)
    assert np.array_equal(shown(written(color_film(ybr, {"PhotometricInterpretation": "YBR_FULL"}))), EXPECTED)


def test_ybr_that_shares_its_color_between_neighbors_is_its_luminance() -> None:
    film = color_film(equal(GRAY), {"PhotometricInterpretation": "YBR_FULL_422"})
    neutral = np.full(GRAY.size // 2, 128, np.uint8)
    film.PixelData = np.stack([GRAY.ravel()[::2], GRAY.ravel()[1::2], neutral, neutral], axis=1).tobytes()
    assert np.array_equal(shown(written(film)), EXPECTED)


def test_one_colored_pixel_makes_a_lossless_film_colored() -> None:
    channels = equal(GRAY)
    channels[40, 20, 2] ^= 1
    assert refusal(written(color_film(channels))) is Reason.COLOR


@pytest.mark.slow
def test_a_colored_lossy_film_is_refused() -> None:
    channels = equal(GRAY)
    channels[..., 2] //= 2
    assert refusal(encoded(color_film(channels), uid.JPEGBaseline8Bit)) is Reason.COLOR


@pytest.mark.parametrize(
    "changes",
    [
        {"PhotometricInterpretation": "MONOCHROME2"},
        {"PhotometricInterpretation": "HSV"},
        {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31},
        {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 15},
    ],
)
def test_color_that_is_none_the_node_knows_is_refused(changes: Changes) -> None:
    film = color_film(equal(GRAY))
    for keyword, value in changes.items():
        setattr(film, keyword, value)
    assert refusal(written(film)) is Reason.COLOR


def palette_film(red: npt.NDArray[np.uint16], green: npt.NDArray[np.uint16]) -> bytes:
    film = data_set(GRAY, bits_stored=8, changes={"BitsAllocated": 8, "PhotometricInterpretation": "PALETTE COLOR"})
    for name, entries in (("Red", red), ("Green", green), ("Blue", red)):
        film.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [len(entries) & 0xFFFF, 0, 16])
        film.add_new(f"{name}PaletteColorLookupTableData", "OW", entries.astype("<u2").tobytes())
    return written(film)


def test_a_gray_palette_is_looked_up() -> None:
    curve = (np.arange(256) ** 2).astype(np.uint16)
    assert np.array_equal(shown(palette_film(curve, curve)), curve[GRAY])


def test_a_colored_palette_is_refused_only_if_its_colors_are_used() -> None:
    curve = (np.arange(256) * 256).astype(np.uint16)
    other = curve.copy()
    unused = np.setdiff1d(np.arange(256), GRAY)
    other[unused] = 7
    assert shown(palette_film(curve, other)).any()
    other[GRAY[0, 0]] += 1
    assert refusal(palette_film(curve, other)) is Reason.COLOR


def test_a_palette_that_points_nowhere_is_given_up() -> None:
    film = data_set(GRAY, bits_stored=8, changes={"BitsAllocated": 8, "PhotometricInterpretation": "PALETTE COLOR"})
    assert refusal(written(film)) is Reason.DECODE
