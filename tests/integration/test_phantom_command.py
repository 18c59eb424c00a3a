"""`cxr-node phantom` as a person types it."""

import json
from pathlib import Path

import pydicom
from typer.testing import CliRunner

from cxr_node.cli.app import app


def test_the_same_seed_writes_the_same_films_masks_and_truth(tmp_path: Path) -> None:
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        command = ["phantom", "films", str(folder), "--count", "1", "--first", "5", "--size", "128"]
        answer = CliRunner().invoke(app, [*command, "--pathology", "effusion"])
        assert answer.exit_code == 0, answer.output
        written.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert written[0] == written[1]
    (film,) = (tmp_path / "one").rglob("*.dcm")
    (truth,) = (tmp_path / "one").rglob("*.json")
    assert pydicom.dcmread(film).Modality == "DX"
    document = json.loads(truth.read_text())
    assert [lesion["kind"] for lesion in document["lesions"]] == ["effusion"]
    assert len(written[0]) > 2, "no masks beside the film"
