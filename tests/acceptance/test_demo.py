"""The demo, as the README's first command runs it."""

import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread

from cxr_node.simulators.program import COMMAND


@pytest.mark.timeout(1300)
def test_the_demo_shows_the_main_job_and_leaves_its_objects(tmp_path: Path) -> None:
    ended = subprocess.run([*COMMAND, "demo", "--folder", tmp_path], capture_output=True, text=True, timeout=1260)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    reports = [dcmread(path) for path in (tmp_path / "pacs").glob("*.dcm")]
    films = [dcmread(path) for path in (tmp_path / "films").glob("*.dcm")]
    assert {report.StudyInstanceUID for report in reports} == {film.StudyInstanceUID for film in films}
    assert "Imaging Measurement Report" in ended.stdout
    assert "stored to report" in ended.stdout
    assert str(tmp_path) in ended.stdout.replace("\n", "")
    assert "Research use only" in ended.stdout
