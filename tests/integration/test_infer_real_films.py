"""The built-in bundle on real films, by way of the pixel chain."""

import pytest

from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import Radiograph
from cxr_node.infer.reader import Reader
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from tests.support import films
from tests.support.built_in import built_in_bundle

pytestmark = films.needs_real_films


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(built_in_bundle(), device="cpu")


def _film(name: str) -> Radiograph:
    return radiograph(parse(films.real(name).read_bytes()), limits=Limits())


def test_a_film_and_its_near_lossless_copy_read_alike(reader: Reader) -> None:
    lossless, near = (prediction.findings[0] for prediction in reader.read([_film("RG1_J2KI"), _film("RG1_JLSN")]))

    assert near.score == pytest.approx(lossless.score, abs=0.01)


@pytest.mark.parametrize("name", ["RG1_JLSN", "pseudo_phi_RLE", "siim_SC_JPEG", "nih_DX_in_SC"])
def test_regions_on_films_from_modalities_lie_in_the_analysed_area(reader: Reader, name: str) -> None:
    (prediction,) = reader.read([_film(name)])

    assert all(0.0 < finding.score < 1.0 for finding in prediction.findings)
    (left, top), _, (right, bottom), _ = prediction.analysed_area.outline
    for finding in prediction.findings:
        for region in finding.regions:
            assert all(left <= column <= right and top <= row <= bottom for column, row in region.outline)


@pytest.mark.parametrize("name", ["RG1_JLSN", "RG1_J2KI", "pseudo_phi_RLE", "siim_SC_JPEG", "nih_DX_in_SC"])
def test_chest_films_from_modalities_have_two_lungs_and_a_heart(reader: Reader, name: str) -> None:
    (prediction,) = reader.read([_film(name)])

    assert prediction.appearance is not None
    assert prediction.appearance.view in (View.PA, View.AP)
    assert prediction.appearance.distance < prediction.appearance.limit
    structures = {structure.key: structure for structure in prediction.structures}
    assert all(
        structures[key].regions for key in ("right_lung", "left_lung", "heart", "right_clavicle", "left_clavicle")
    )


@pytest.mark.parametrize("name", ["dog_DX_lateral", "RG2_JPLY", "RG3_RLE", "CR-ModalitySequenceLUT"])
def test_other_pictures_do_not(reader: Reader, name: str) -> None:
    (prediction,) = reader.read([_film(name)])

    appearance = prediction.appearance
    assert appearance is not None
    assert appearance.view not in (View.PA, View.AP) or appearance.distance > appearance.limit
