"""The grayscale chain, against the pseudo-code of the standard written out plainly."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import WHITE, UInt16
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from tests.support.pixel_films import cells, chest, data_set, lut, with_text_elements, written

Float64 = npt.NDArray[np.float64]
Changes = dict[str, Any]


def shown(stored: npt.NDArray[np.integer], changes: Changes | None = None, *, bits_stored: int = 12) -> UInt16:
    """Return the P-values of a film with these stored values and elements."""
    content = written(data_set(stored, bits_stored=bits_stored, changes=changes))
    return radiograph(parse(content), limits=Limits()).p_values


def grayscale(changes: Changes | None = None) -> tuple[str, tuple[Note, ...]]:
    """Return the provenance and notes of a chest film with these elements."""
    film = radiograph(parse(written(data_set(chest(), changes=changes))), limits=Limits())
    return film.grayscale, film.notes


def linear(x: Float64, center: float, width: float) -> UInt16:
    """PS3.3 section C.11.2.1.2.1, the pseudo-code line by line, y from 0 to 65535."""
    y = np.empty_like(x)
    low, high = x <= center - 0.5 - (width - 1) / 2, x > center - 0.5 + (width - 1) / 2
    y[low], y[high] = 0, WHITE
    between = ~(low | high)
    y[between] = ((x[between] - (center - 0.5)) / (width - 1) + 0.5) * WHITE
    return np.rint(y).astype(np.uint16)


def test_a_linear_window_is_the_pseudo_code_of_the_standard() -> None:
    stored = chest()
    expected = linear(stored.astype(float), 1800, 2500)
    assert np.array_equal(shown(stored, {"WindowCenter": 1800, "WindowWidth": 2500}), expected)


def test_the_window_of_the_standards_own_example_maps_its_named_values() -> None:
    """PS3.3 section C.11.2.1.2.1, note: center 0, width 100 sends -50 and below to 0, 49 and above to white."""
    stored = np.array([[0, 5, 6, 55, 104, 105, 200]])
    window: Changes = {"RescaleSlope": 1, "RescaleIntercept": -55, "WindowCenter": 0, "WindowWidth": 100}
    p_values = shown(stored, window)
    assert p_values.tolist()[0][:3] == [0, 0, round(1 / 99 * WHITE)]
    assert p_values.tolist()[0][4:] == [WHITE, WHITE, WHITE]


def test_a_linear_window_of_width_one_is_a_step_at_the_center() -> None:
    stored = np.array([[99, 100, 101, 102] * 8])
    p_values = shown(stored, {"WindowCenter": 101, "WindowWidth": 1})
    assert p_values.tolist()[0][:4] == [0, 0, WHITE, WHITE]


def test_linear_exact_uses_the_whole_width() -> None:
    """PS3.3 section C.11.2.1.3.2: black at center - width / 2, white at center + width / 2."""
    stored = np.array([[0, 1000, 1500, 2000, 3000, 4095]])
    window: Changes = {"WindowCenter": 2000, "WindowWidth": 2000, "VOILUTFunction": "LINEAR_EXACT"}
    assert shown(stored, window).tolist() == [[0, 0, round(WHITE / 4), round(WHITE / 2), WHITE, WHITE]]


def test_sigmoid_never_clips() -> None:
    """PS3.3 section C.11.2.1.3.1: 1 / (1 + exp(-4 (x - center) / width))."""
    stored = np.array([[0, 1000, 2048, 3000, 4095]])
    window: Changes = {"WindowCenter": 2048, "WindowWidth": 1024, "VOILUTFunction": "SIGMOID"}
    expected = [round(WHITE / (1 + math.exp(-4 * (x - 2048) / 1024))) for x in stored[0].tolist()]
    assert shown(stored, window).tolist() == [expected]


def test_slope_and_intercept_come_before_the_window() -> None:
    stored = chest()
    elements: Changes = {"RescaleSlope": 0.5, "RescaleIntercept": -300, "WindowCenter": 500, "WindowWidth": 1500}
    assert np.array_equal(shown(stored, elements), linear(stored.astype(np.float64) * 0.5 - 300, 500, 1500))


def test_a_negative_slope_turns_the_picture_over_once() -> None:
    stored = chest()
    elements: Changes = {"RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2048, "WindowWidth": 4096}
    # The film is drawn reversed so that the slope rights it and the polarity check has nothing to say.
    assert np.array_equal(shown(4095 - stored, elements), linear(stored.astype(float), 2048, 4096))


def test_monochrome1_shows_the_least_value_white() -> None:
    stored = 4095 - chest()
    elements: Changes = {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 2048, "WindowWidth": 4096}
    assert np.array_equal(shown(stored, elements), WHITE - linear(stored.astype(float), 2048, 4096))


def test_monochrome1_with_shape_inverse_is_inverted_once() -> None:
    stored = 4095 - chest()
    elements: Changes = {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 2048, "WindowWidth": 4096}
    assert np.array_equal(shown(stored, elements | {"PresentationLUTShape": "INVERSE"}), shown(stored, elements))


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")])
def test_a_shape_against_the_photometric_interpretation_is_only_noted(photometric: str, shape: str) -> None:
    stored = chest() if photometric == "MONOCHROME2" else 4095 - chest()
    elements: Changes = {"PhotometricInterpretation": photometric, "WindowCenter": 2048, "WindowWidth": 4096}

    film = radiograph(
        parse(written(data_set(stored, changes=elements | {"PresentationLUTShape": shape}))), limits=Limits()
    )

    assert np.array_equal(film.p_values, shown(stored, elements))
    assert film.notes == (Note.POLARITY_CONTRADICTORY,)


def test_a_modality_lut_goes_before_slope_and_window_speaks_of_its_output() -> None:
    stored = chest()
    curve = (np.arange(4096) ** 2 // 4096).astype("<u2")
    elements = {
        "ModalityLUTSequence": [lut(curve, first=0, bits=12)],
        "RescaleSlope": 7,
        "WindowCenter": 1500,
        "WindowWidth": 3000,
    }
    assert np.array_equal(shown(stored, elements), linear(curve[stored].astype(float), 1500, 3000))


def test_values_outside_a_modality_lut_take_its_ends() -> None:
    """PS3.3 section C.11.1.1.1: below the first value mapped, the first entry; above the last, the last."""
    stored = np.array([[0, 99, 100, 101, 102, 103, 4000]])
    elements = {
        "ModalityLUTSequence": [lut(np.array([10, 20, 30], "<u2"), first=100, bits=12)],
        "WindowCenter": 2048,
        "WindowWidth": 4096,
    }
    expected = linear(np.array([[10.0, 10, 10, 20, 30, 30, 30]]), 2048, 4096)
    assert np.array_equal(shown(stored, elements), expected)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_voi_lut_of_any_depth_spans_black_to_white(bits: int) -> None:
    stored = chest()
    curve = (np.sqrt(np.arange(4096) / 4095) * ((1 << bits) - 1)).astype("<u2")
    expected = np.rint(curve[stored] / ((1 << bits) - 1) * WHITE).astype(np.uint16)
    assert np.array_equal(shown(stored, {"VOILUTSequence": [lut(curve, first=0, bits=bits)]}), expected)


def test_a_voi_lut_of_8_bits_may_be_packed_two_entries_to_a_word() -> None:
    stored = chest()
    curve = (np.arange(4096) // 16).astype("u1")
    expected = np.rint(curve[stored] / 255 * WHITE).astype(np.uint16)
    assert np.array_equal(shown(stored, {"VOILUTSequence": [lut(curve, first=0, bits=8)]}), expected)


def test_a_voi_lut_of_65536_entries_states_0_of_them() -> None:
    """PS3.3 section C.11.2.1.1: when the number of entries is 2^16 the descriptor's first value is 0."""
    stored = chest(bits=16)
    curve = np.arange(65536).astype("<u2")
    table = lut(curve, first=0, bits=16)
    assert table.LUTDescriptor[0] == 0
    assert np.array_equal(shown(stored, {"VOILUTSequence": [table]}, bits_stored=16), stored.astype(np.uint16))


def test_a_voi_lut_may_begin_below_zero() -> None:
    stored = chest()
    curve = np.arange(4096).astype("<u2")
    elements = {"RescaleIntercept": -1024, "RescaleSlope": 1, "VOILUTSequence": [lut(curve, first=-1024, bits=12)]}
    assert np.array_equal(shown(stored, elements), np.rint(stored / 4095 * WHITE).astype(np.uint16))


def test_a_lut_beyond_its_stated_depth_gets_the_depth_it_needs() -> None:
    stored = chest()
    curve = np.arange(4096).astype("<u2")
    expected = np.rint(stored / 4095 * WHITE).astype(np.uint16)
    assert np.array_equal(shown(stored, {"VOILUTSequence": [lut(curve, first=0, bits=10)]}), expected)


def test_a_voi_lut_goes_before_a_window() -> None:
    stored = chest()
    curve = np.arange(4096).astype("<u2")[::-1].copy()
    table = {"VOILUTSequence": [lut(curve, first=0, bits=12)], "PhotometricInterpretation": "MONOCHROME1"}
    assert np.array_equal(shown(stored, table | {"WindowCenter": 1, "WindowWidth": 2}), shown(stored, table))


def test_of_several_windows_the_first_usable_one_is_taken() -> None:
    stored = chest()
    several: Changes = {"WindowCenter": [500, 2000, 1000], "WindowWidth": [0, 3000, 900]}
    assert np.array_equal(shown(stored, several), linear(stored.astype(float), 2000, 3000))


def test_of_several_windows_the_one_explained_as_normal_is_taken() -> None:
    stored = chest()
    several: Changes = {
        "WindowCenter": [500, 2000],
        "WindowWidth": [1000, 3000],
        "WindowCenterWidthExplanation": ["HARDER", "NORMAL"],
    }
    assert np.array_equal(shown(stored, several), linear(stored.astype(float), 2000, 3000))


@pytest.mark.parametrize(
    "unusable",
    [
        {},
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowCenter": 2048, "WindowWidth": 0},
        {"WindowCenter": 2048, "WindowWidth": -100},
        {"WindowCenter": 2048},
        {"WindowCenter": 50000, "WindowWidth": 10},
        {"VOILUTSequence": []},
    ],
    ids=["none", "empty", "width 0", "negative width", "no width", "beside the values", "empty sequence"],
)
def test_without_a_usable_voi_a_deep_film_is_windowed_by_its_pixels(unusable: Changes) -> None:
    stored = chest()
    low, high = np.percentile(stored, (0.5, 99.5))

    film = radiograph(parse(written(data_set(stored, changes=unusable))), limits=Limits())

    expected = np.rint(np.clip((stored - low) / (high - low), 0, 1) * WHITE)
    assert np.abs(film.p_values - expected).max() <= 1
    assert film.notes == (Note.NO_VOI,)


@pytest.mark.parametrize("text", [b"NaN ", b"inf ", b"-inf", b"1e99", b"wide", b"1,5,"])
def test_a_window_that_is_no_finite_number_counts_as_absent(text: bytes) -> None:
    content = written(data_set(chest(), changes={"WindowCenter": "2048", "WindowWidth": "4096"}))
    assert content.count(b"4096") == 1

    film = radiograph(parse(content.replace(b"4096", text)), limits=Limits())

    assert film.notes == (Note.NO_VOI,)


def test_an_8_bit_film_without_voi_is_shown_as_stored() -> None:
    stored = chest(bits=8)
    film = radiograph(parse(written(data_set(stored, bits_stored=8, changes={"BitsAllocated": 8}))), limits=Limits())
    assert np.array_equal(film.p_values, stored * 257)
    assert film.notes == ()


@pytest.mark.parametrize(("slope", "intercept"), [("0", "0"), ("NaN", "0"), ("1", "inf"), ("1e30", "0")])
def test_a_slope_that_makes_no_picture_gives_the_film_up(slope: str, intercept: str) -> None:
    film = data_set(chest())
    content = written(film)
    content = with_text_elements(content, {(0x0028, 0x1052): intercept, (0x0028, 0x1053): slope})
    with pytest.raises(GiveUp) as gave_up:
        radiograph(parse(content), limits=Limits())
    assert gave_up.value.reason is Reason.DECODE


def test_a_modality_lut_that_points_nowhere_gives_the_film_up() -> None:
    table = lut(np.arange(16).astype("<u2"), first=0, bits=12)
    table.LUTDescriptor = [4096, 0, 12]
    with pytest.raises(GiveUp) as gave_up:
        shown(chest(), {"ModalityLUTSequence": [table]})
    assert gave_up.value.reason is Reason.DECODE


def test_a_voi_lut_that_points_nowhere_leaves_the_window() -> None:
    stored = chest()
    table = lut(np.arange(16).astype("<u2"), first=0, bits=12)
    table.LUTDescriptor = [4096, 0, 12]
    window: Changes = {"WindowCenter": 2000, "WindowWidth": 3000}
    assert np.array_equal(shown(stored, window | {"VOILUTSequence": [table]}), shown(stored, window))


def test_bits_above_the_stored_ones_are_dirt() -> None:
    stored = chest()
    film = data_set(stored, changes={"WindowCenter": 2048, "WindowWidth": 4096})
    film.PixelData = (cells(stored, film) | (np.indices(stored.shape).sum(0).astype("<u2") << 12)).tobytes()
    p_values = radiograph(parse(written(film)), limits=Limits()).p_values
    assert np.array_equal(p_values, linear(stored.astype(float), 2048, 4096))


def test_a_sample_that_ends_below_its_top_bit_is_shifted_down() -> None:
    """PS3.5 section 8.1.1: High Bit 15 with 12 bits stored leaves four bits below that are not the sample's."""
    stored = chest()
    elements: Changes = {"HighBit": 15, "WindowCenter": 2048, "WindowWidth": 4096}
    film = data_set(stored, changes=elements)
    film.PixelData = (cells(stored, film) | 0b1011).tobytes()
    p_values = radiograph(parse(written(film)), limits=Limits()).p_values
    assert np.array_equal(p_values, linear(stored.astype(float), 2048, 4096))


@pytest.mark.parametrize("extended", [True, False], ids=["sign in the upper bits", "zeros in the upper bits"])
def test_signed_values_are_signed_whether_or_not_the_sign_is_extended(extended: bool) -> None:
    stored = chest() - 2048
    film = data_set(stored, changes={"PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 4096})
    if extended:
        film.PixelData = stored.astype("<i2").tobytes()
    p_values = radiograph(parse(written(film)), limits=Limits()).p_values
    assert np.array_equal(p_values, linear(stored.astype(float), 0, 4096))


def test_32_bits_allocated_take_the_same_path() -> None:
    stored = chest()
    elements: Changes = {"BitsAllocated": 32, "WindowCenter": 2048, "WindowWidth": 4096}
    assert np.array_equal(shown(stored, elements), linear(stored.astype(float), 2048, 4096))


def test_the_provenance_lists_the_steps() -> None:
    sentence, _ = grayscale({"RescaleSlope": 2, "RescaleIntercept": -5, "WindowCenter": 2048, "WindowWidth": 4096})
    assert sentence == "rescale 2, -5; window 2048, 4096 LINEAR; MONOCHROME2"


def test_the_p_values_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        shown(chest())[0, 0] = 1
