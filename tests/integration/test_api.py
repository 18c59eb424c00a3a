"""The Python interface reads files and arrays as the node does."""

import io
from pathlib import Path

import numpy as np
import pytest

import cxr_node
from cxr_node.api.reader import FilmSource
from cxr_node.phantom.dicom import EXAMPLE_TIME, Voi, dataset
from cxr_node.phantom.film import film
from cxr_node.phantom.thorax import Pose
from cxr_node.phantom.truth_types import PhantomFilm
from tests.support import tiny_bundles


@pytest.fixture(scope="module")
def phantom() -> PhantomFilm:
    return film(seed=7, rows=320, columns=320)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> cxr_node.ChestReader:
    """A reader of a bundle of random weights, which loads fast."""
    return cxr_node.ChestReader(tiny_bundles.bundle(tmp_path_factory.mktemp("tiny")))


def test_a_file_and_an_array_of_its_pixels_give_the_same_scores(
    reader: cxr_node.ChestReader, phantom: PhantomFilm, tmp_path: Path
) -> None:
    sent = io.BytesIO()
    dataset(phantom, now=EXAMPLE_TIME, bits_stored=16, voi=Voi.WINDOW).save_as(sent, enforce_file_format=True)
    (tmp_path / "film.dcm").write_bytes(sent.getvalue())

    by_file = reader.read(tmp_path / "film.dcm")
    by_array = reader.read(by_file.p_values, view="PA", age_years=60)

    assert by_file.not_analysed == ""
    assert by_file.findings
    assert np.array_equal(by_array.p_values, by_file.p_values)
    assert [finding.score for finding in by_array.findings] == [finding.score for finding in by_file.findings]
    assert by_array.gray.shape == (320, 320)
    assert set(by_array.maps) <= {finding.key for finding in by_array.findings}
    assert all(heat.shape == (320, 320) and 0 <= heat.min() <= heat.max() <= 1 for heat in by_array.maps.values())
    assert by_array.overlay().size == (960, 960)
    assert by_array.picture().width > 960


def test_a_refused_film_has_a_reason_and_no_findings(reader: cxr_node.ChestReader, phantom: PhantomFilm) -> None:
    lateral = reader.read(phantom.p_values, view="LATERAL")

    assert lateral.not_analysed.startswith("VIEW: ")
    assert (lateral.findings, lateral.structures, lateral.maps, lateral.measurements) == ((), {}, {}, {})


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (b"no film", "cannot be read"),
        (np.zeros((4, 4, 3)), "shape"),
        (np.zeros((4, 4), np.int64), "int64"),
        (np.full((4, 4), 2.0), "between 0.0"),
        (np.full((4, 4), np.nan), "between 0.0"),
    ],
)
def test_what_is_no_film_is_refused_with_a_sentence(
    reader: cxr_node.ChestReader, source: FilmSource, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        reader.read(source)


def test_an_unknown_name_of_the_package_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        cxr_node.no_such_name  # noqa: B018


def test_breath_and_rotation_of_a_phantom_are_those_asked_for() -> None:
    out, turned = (
        film(seed=51, rows=128, columns=128, pose=pose) for pose in (Pose(breath=0.1), Pose(rotation_deg=12))
    )
    deep = film(seed=51, rows=128, columns=128, pose=Pose(breath=1.0, rotation_deg=0.0))

    def height(one: PhantomFilm) -> int:
        return int(one.masks["right_lung"].any(axis=1).sum())

    def spine(one: PhantomFilm) -> float:
        return float(np.argwhere(one.masks["spine"])[:, 1].mean())

    assert (out.truth.anatomy.inspiration, deep.truth.anatomy.inspiration) == (0.1, 1.0)
    assert height(out) < height(deep)
    assert spine(turned) > spine(deep) + 3
