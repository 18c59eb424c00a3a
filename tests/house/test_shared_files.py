"""Files that the processes of a test run share."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support import shared_files


def test_a_folder_whose_run_was_killed_is_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shared_files, "_SHM", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name, pid in (("killed", str(ended.pid)), ("running", str(os.getpid())), ("beginning", "")):
        folder = tmp_path / f"cxr-node-tests-{name}"
        folder.mkdir()
        (folder / "pid").write_text(pid, encoding="ascii")

    assert shared_files.abandoned() == [tmp_path / "cxr-node-tests-killed"]
