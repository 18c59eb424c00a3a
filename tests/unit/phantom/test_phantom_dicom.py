"""The data set that a modality would send."""

import subprocess
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmread
from pydicom.pixels.processing import apply_voi_lut

from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import parse_uid
from cxr_node.phantom.dicom import Voi, dataset, write_examples
from cxr_node.phantom.film import film
from cxr_node.phantom.folder import write
from cxr_node.phantom.truth_types import PhantomFilm
from tests.support import peers

NOW = datetime(2024, 5, 1, 10, 15)  # noqa: DTZ001  # DICOM's DA and TM carry no zone


@pytest.fixture(scope="module")
def chest() -> PhantomFilm:
    torch.set_num_threads(1)
    return film(seed=60, rows=200, columns=160)


@pytest.fixture(scope="module", params=[View.PA, View.AP, View.LATERAL])
def in_view(request: pytest.FixtureRequest) -> PhantomFilm:
    torch.set_num_threads(1)
    return film(seed=61, view=request.param, rows=64, columns=64)


@pytest.mark.slow
@pytest.mark.parametrize("photometric_interpretation", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("voi", list(Voi))
def test_dciodvfy_finds_no_error(
    in_view: PhantomFilm, photometric_interpretation: str, voi: Voi, tmp_path: Path
) -> None:
    path = tmp_path / "film.dcm"
    dataset(in_view, now=NOW, photometric_interpretation=photometric_interpretation, voi=voi, bits_stored=14).save_as(
        path, enforce_file_format=True
    )

    output = subprocess.run(
        [peers.program("dciodvfy"), "-new", path], capture_output=True, text=True, check=False
    ).stderr

    assert "DXImageForPresentation" in output
    assert "Error" not in output


@pytest.mark.slow
@pytest.mark.parametrize("photometric_interpretation", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("voi", list(Voi))
@pytest.mark.parametrize("bits_stored", [12, 14])
def test_the_stored_values_show_the_film(
    chest: PhantomFilm, photometric_interpretation: str, voi: Voi, bits_stored: int
) -> None:
    sent = dataset(
        chest, now=NOW, photometric_interpretation=photometric_interpretation, voi=voi, bits_stored=bits_stored
    )

    shown = apply_voi_lut(sent.pixel_array, sent).astype(np.float64)
    most = 65535 if voi is Voi.LUT else 2**bits_stored - 1
    shown = shown / most if photometric_interpretation == "MONOCHROME2" else 1 - shown / most

    assert sent.pixel_array.max() < 2**bits_stored
    assert np.abs(shown - chest.p_values / 65535).max() < 3 / 2**bits_stored


def test_equal_arguments_give_equal_bytes_and_identifiers(chest: PhantomFilm) -> None:
    first, again = (dataset(chest, now=NOW) for _ in range(2))
    other = dataset(chest, now=NOW, photometric_interpretation="MONOCHROME1")

    assert first == again
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.StudyInstanceUID == other.StudyInstanceUID
    assert str(parse_uid(first.SOPInstanceUID)) == str(first.file_meta.MediaStorageSOPInstanceUID)


@pytest.mark.slow
def test_two_views_of_one_seed_are_two_series_of_one_study() -> None:
    frontal, lateral = (
        dataset(film(seed=62, view=view, rows=64, columns=64), now=NOW) for view in (View.PA, View.LATERAL)
    )

    assert frontal.StudyInstanceUID == lateral.StudyInstanceUID
    assert frontal.SeriesInstanceUID != lateral.SeriesInstanceUID
    assert frontal.PatientID == lateral.PatientID == "PHANTOM-62"
    assert (frontal.PatientOrientation, lateral.PatientOrientation) == (["L", "F"], ["P", "F"])


def test_the_spacing_is_the_detectors(chest: PhantomFilm) -> None:
    sent = dataset(chest, now=NOW)

    assert float(sent.ImagerPixelSpacing[0]) == pytest.approx(chest.truth.imager_pixel_spacing_mm, abs=1e-5)
    assert float(sent.EstimatedRadiographicMagnificationFactor) > 1.0


def test_a_folder_holds_film_truth_and_masks(chest: PhantomFilm, tmp_path: Path) -> None:
    (path,) = write([chest], tmp_path, now=NOW)

    with np.load(path.with_suffix(".npz")) as masks:
        count = int(np.prod(masks["shape"]))
        heart = np.unpackbits(masks["heart"], count=count).reshape(masks["shape"]).astype(bool)
    assert np.array_equal(heart, chest.masks["heart"])
    assert '"seed": 60' in path.with_suffix(".json").read_text(encoding="utf-8")
    assert dcmread(path).Rows == 200


@pytest.mark.slow
def test_the_examples_are_two_frontal_films_and_a_lateral_one(tmp_path: Path) -> None:
    films = [dcmread(path) for path in write_examples(tmp_path, size=128)]

    assert [one.ViewPosition for one in films] == ["PA", "PA", "LL"]
    assert len({one.PatientID for one in films}) == 3
