"""The real films: which are read, which are not and why, and what they look like."""

from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.reasons import Reason
from cxr_node.pixels.film import parse, radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.pixels.suitability import Rules, judge_header, judge_picture
from tests import films
from tests.pixel_films import part10

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
