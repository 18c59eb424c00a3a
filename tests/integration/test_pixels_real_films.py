"""The real films: which are read, which are not and why, and what they look like."""

import logging
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from cxr_node.domain.film_geometry import Geometry, SpacingSource, View, ViewSource
from cxr_node.domain.radiograph import WHITE, Radiograph
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels import image_statistics
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.geometry import geometry
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.pixels.suitability import judge_header, judge_picture
from tests.support import films
from tests.support.pixel_films import part10

READABLE = ["RG1_J2KI", "RG1_JLSN", "CR-MONO1-10-chest", "pseudo_phi_RLE", "siim_SC_JPEG", "nih_DX_in_SC"]
NOT_READ = {
    "siim_SC_wrong_MONOCHROME1": None,
    "dog_DX_lateral": Reason.NOT_HUMAN,
    "RG2_J2KR": Reason.BODY_PART,
    "RG2_JPLL": Reason.BODY_PART,
    "RG2_JPLY": Reason.BODY_PART,
    "RG3_JPLL": Reason.BODY_PART,
    "RG3_RLE": Reason.BODY_PART,
    "CR-ModalitySequenceLUT": Reason.BODY_PART,
    "pseudo_phi_no_pixels": Reason.NO_PIXELS,
    "chrJapMulti": Reason.NO_PIXELS,
    "chrKoreanMulti": Reason.NO_PIXELS,
}


def data_set(name: str) -> Dataset:
    """Return the film as the node parses it."""
    return parse(part10(films.real(name)))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits()) as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", READABLE)
def test_a_readable_chest_film_is_refused_by_no_gate(name: str, sandbox: Sandbox) -> None:
    dataset = data_set(name)

    film = radiograph(dataset, limits=Limits(), sandbox=sandbox)

    assert judge_header(dataset, Rules()).refused is None
    assert judge_picture(film, Rules()).refused is None


@pytest.mark.parametrize(("name", "reason"), NOT_READ.items())
def test_every_other_film_is_refused_for_its_own_reason(name: str, reason: Reason | None) -> None:
    assert judge_header(data_set(name), Rules()).refused == reason


def film(name: str, sandbox: Sandbox) -> Radiograph:
    return radiograph(data_set(name), limits=Limits(), sandbox=sandbox)


def test_one_film_through_two_lossy_codecs_is_one_film(sandbox: Sandbox) -> None:
    one, other = (film(name, sandbox).p_values.astype(int) for name in ("RG1_J2KI", "RG1_JLSN"))
    assert np.abs(one - other).mean() < 0.003 * WHITE


def test_one_film_through_two_lossless_codecs_is_the_same_to_the_last_bit(sandbox: Sandbox) -> None:
    assert np.array_equal(film("RG2_J2KR", sandbox).p_values, film("RG2_JPLL", sandbox).p_values)
    assert np.array_equal(film("RG3_RLE", sandbox).p_values, film("RG3_JPLL", sandbox).p_values)


def test_a_polarity_that_contradicts_the_picture_is_righted_and_noted(sandbox: Sandbox) -> None:
    righted, right = film("siim_SC_wrong_MONOCHROME1", sandbox), film("siim_SC_JPEG", sandbox)
    assert righted.notes == (Note.POLARITY_CORRECTED,)
    assert right.notes == ()
    assert np.array_equal(righted.p_values, right.p_values)


def test_burned_in_text_is_noted_although_the_header_is_silent_about_it(sandbox: Sandbox) -> None:
    assert not data_set("pseudo_phi_RLE").get("BurnedInAnnotation")
    assert judge_picture(film("pseudo_phi_RLE", sandbox), Rules()).notes == (Note.BURNED_IN_TEXT,)


def test_no_text_is_noted_on_any_other_readable_film(sandbox: Sandbox) -> None:
    for name in READABLE:
        if name != "pseudo_phi_RLE":
            assert judge_picture(film(name, sandbox), Rules()).notes == ()


def test_no_log_line_names_the_patient(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        dataset = data_set("pseudo_phi_RLE")
        judge_header(dataset, Rules())
        judge_picture(radiograph(dataset, limits=Limits(), sandbox=sandbox), Rules())
    assert "DAVIDSON" not in caplog.text.upper()


def test_views_and_spacings_have_their_source() -> None:
    portable, paper = geometry(data_set("pseudo_phi_RLE")), geometry(data_set("siim_SC_JPEG"))
    assert (portable.view, portable.view_source) == (View.AP, ViewSource.TEXT)
    assert portable.spacing is not None
    assert portable.spacing.source is SpacingSource.DETECTOR
    assert paper.spacing is not None
    assert paper.spacing.source is SpacingSource.UNSPECIFIED


def test_a_spacing_of_zero_is_none() -> None:
    assert geometry(data_set("RG1_JLSN")).spacing is None


@films.needs_real_films
def test_the_gate_and_the_polarity_check_leave_every_nih_film_alone() -> None:
    """A sample of the 975; docs/reference/pixels.md has the figures for all, with the command."""
    paths = sorted((films.FILMS / "nih").glob("*.png"))[::40]
    for path in paths:
        with Image.open(path) as picture_:
            p_values = np.asarray(picture_.convert("L")).astype(np.uint16) * 257
        place = Geometry(rows=p_values.shape[0], columns=p_values.shape[1])
        assert judge_picture(Radiograph(p_values=p_values, geometry=place, grayscale=""), Rules()).refused is None
        assert not image_statistics.polarity(p_values).is_reversed
    assert len(paths) > 20
