"""`cxr-node try`: a folder of a site's files, as a table, JSON, CSV and an HTML sheet, without a node."""

import csv
import io
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.uid import ImplicitVRLittleEndian
from typer.testing import CliRunner, Result

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.domain.film_geometry import View
from cxr_node.phantom.dicom import dataset
from cxr_node.phantom.film import film as phantom_film
from tests.support import films, tiny_bundles
from tests.support.peers import program
from tests.support.running_node import settings_file
from tests.support.trial_files import bomb, encoded, zipped

Command = Callable[..., Result]
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def processes() -> int:
    """Size of the preprocessing pool."""
    return 0


@pytest.fixture
def config(tmp_path: Path, processes: int) -> Path:
    """Settings of a node that never ran."""
    path = settings_file(tmp_path / "node")
    bundle = tiny_bundles.whole_bundle(tmp_path / "bundle", changes=((r"distance_limit = .*", "distance_limit = 1e6"),))
    read = f"[read]\nbundle = {json.dumps(str(bundle))}"
    text = path.read_text(encoding="utf-8").replace("[read]", read)
    path.write_text(text.replace("processes = 0\nengine", f"processes = {processes}\nengine"), encoding="utf-8")
    assert load(path).read.processes == processes
    return path


@pytest.fixture
def cxr_node(config: Path) -> Command:
    """Runs `cxr-node try` with the settings."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["try", *arguments, "--config", str(config)])

    return run


def _disc(folder: Path) -> None:
    """Write two phantoms with a DICOMDIR of DCMTK, and remove one of them afterwards."""
    images = folder / "IMAGES"
    images.mkdir(parents=True)
    for seed in (1, 2):
        phantom = phantom_film(seed=seed, view=View.PA, rows=256, columns=256)
        dataset(phantom, now=NOW).save_as(images / f"IM{seed}", enforce_file_format=True)
    names = ["IMAGES/IM1", "IMAGES/IM2"]
    subprocess.run([program("dcmmkdir"), "+r", "-Pgp", *names], cwd=folder, check=True, capture_output=True, timeout=60)
    (images / "IM2").unlink()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind, below one folder."""
    root = tmp_path_factory.mktemp("year")
    _disc(root / "disc")
    film = films.dx(rows=400, columns=300)
    again = films.dx(rows=400, columns=300)
    again.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    zipped(root / "films.zip", {"1.dcm": encoded(film), "note.txt": b"no film", "bomb.dcm": bomb(film)})
    (root / "implicit.dcm").write_bytes(encoded(again))
    (root / "lateral.dcm").write_bytes(encoded(films.dx(seed=3, changes={"ViewPosition": "LL"})))
    (root / "other.dcm").write_bytes(encoded(films.dx(rows=400, columns=300, changes={"PatientName": "Another^Name"})))
    (root / "report.dcm").write_bytes(
        encoded(films.dx(seed=4, changes={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}))
    )
    return root


@pytest.mark.parametrize("processes", [0, 1], ids=["in process", "in a pool"])
def test_every_file_has_an_answer(cxr_node: Command, folder: Path, config: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.html"

    result = cxr_node(str(folder), "--html", str(sheet), "--json")

    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    answers = {row["file"]: (row["answer"], row["reason"]) for row in document["rows"]}
    assert answers == {
        "films.zip/1.dcm": ("read", ""),
        "films.zip/note.txt": ("no film", "NOTDICOM"),
        "films.zip/bomb.dcm": ("repeated", ""),
        "implicit.dcm": ("repeated", ""),
        "lateral.dcm": ("not analysed", "VIEW"),
        "other.dcm": ("not analysed", "CORRECTION"),
        "report.dcm": ("rejected", "SOPCLASS"),
        "disc/DICOMDIR": ("no film", "DICOMDIR"),
        "disc/IMAGES/IM1": ("read", ""),
        "disc/IMAGES/IM2": ("no film", "MISSING"),
    }
    (first, *_) = document["rows"]
    assert [finding["key"] for finding in first["findings"]]
    assert first["seconds"] > 0
    assert first["transfer_syntax"] == "Explicit VR Little Endian"
    assert document["read"] == 2

    page = sheet.read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 3
    for text in (page, result.output):
        assert "Another" not in text
        assert films.PATIENT_ID not in text
        assert "Filmer" not in text
    assert not load(config).node.data_folder.exists()


def test_table_and_csv_have_the_same_answers(cxr_node: Command, tmp_path: Path) -> None:
    path = films.written(films.dx(changes={"ViewPosition": "LL"}), tmp_path)
    table, lines = cxr_node(str(path)), cxr_node(str(path), "--csv")

    assert path.name in table.stdout
    assert "0 of 1 files were read; nothing was sent" in table.stdout
    (row,) = csv.DictReader(io.StringIO(lines.stdout))
    assert (row["file"], row["answer"], row["reason"]) == (path.name, "not analysed", "VIEW")
    assert row["meaning"] in " ".join(table.stdout.split())


def test_limit_is_named(cxr_node: Command, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("no film", encoding="utf-8")

    result = cxr_node(str(tmp_path / "0.txt"), str(tmp_path / "1.txt"), str(tmp_path / "2.txt"), "--limit", "2")

    assert result.exit_code == 0
    assert "Of 3 files, 2 were tried, spread evenly over all." in result.stdout


def test_wrong_arguments_are_named(cxr_node: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert "there is no such file or folder" in cxr_node(str(tmp_path / "nowhere")).output
    assert "there are no files" in cxr_node(str(tmp_path / "empty")).output
    assert "exclude each other" in cxr_node(str(tmp_path), "--json", "--csv").output
    assert "there is no folder" in cxr_node(str(tmp_path), "--html", str(tmp_path / "no" / "sheet.html")).output


def test_real_films_are_tried(cxr_node: Command) -> None:
    path = films.real("CR-MONO1-10-chest")
    (row,) = json.loads(cxr_node(str(path), "--json").stdout)["rows"]

    assert row["view"] == "PA"
    header = films.with_file_meta(path)
    assert (row["columns"], row["rows"]) == (header.Columns, header.Rows)
