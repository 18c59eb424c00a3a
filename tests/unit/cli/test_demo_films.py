"""Films that the package brings for the demo: small, of a stated source, with made-up headers."""

from pathlib import Path

import pytest
from pydicom import dcmread

from cxr_node.domain.film_geometry import View
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.simulators.demo_films import FOLDER, DemoFilm, demo_films, write_demo_films
from tests.support import peers

MOST_BYTES = 300_000
films = pytest.mark.parametrize("film", demo_films(), ids=lambda film: film.name)


@pytest.mark.slow
@films
def test_a_demo_film_is_small_and_decodes(film: DemoFilm) -> None:
    content = film.path.read_bytes()

    decoded = radiograph(parse(content), limits=Limits())

    assert len(content) < MOST_BYTES
    assert decoded.p_values.shape == (512, 512)
    assert decoded.geometry.view is View.PA


@films
def test_a_demo_film_states_its_source_and_has_a_made_up_patient(film: DemoFilm) -> None:
    header = dcmread(film.path, stop_before_pixels=True)

    assert film.source in header.ImageComments
    assert "NIH Clinical Center" in header.ImageComments
    assert str(header.PatientName) == f"DEMO^{film.name.upper()}"
    assert header.PatientID.startswith("DEMO-")


@films
def test_a_demo_film_is_a_valid_dx_object(film: DemoFilm) -> None:
    checked = peers.run("dciodvfy", str(film.path))

    assert "Error" not in checked.stderr


def test_the_terms_of_use_are_beside_the_films() -> None:
    notice = (FOLDER / "NOTICE.md").read_text(encoding="utf-8")

    assert "provided by the NIH Clinical Center" in notice
    assert "CVPR 2017" in notice
    assert {path.stem for path in FOLDER.glob("*.dcm")} == {film.name for film in demo_films()}


@pytest.mark.slow
def test_the_demo_sends_the_films_and_a_lateral_view(tmp_path: Path) -> None:
    written = write_demo_films(tmp_path)

    assert [path.stem for path in written] == [*(film.name for film in demo_films()), "lateral"]
    assert dcmread(tmp_path / "lateral.dcm").ViewPosition == "LL"
