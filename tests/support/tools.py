"""Programs of `make tools`: linters and schema checkers that no test requirement brings."""

import subprocess
from pathlib import Path

import pytest

from tests.support.films import ROOT

_FOLDER = ROOT / ".venv-tools" / "bin"


def tool(name: str) -> Path:
    """Return the path of a program of `make tools`; skip the test where it is missing."""
    path = _FOLDER / name
    if not path.is_file():
        pytest.skip(f"{name} is not installed: make tools")
    return path


def run(name: str, *arguments: str | Path) -> str:
    """Run a program of `make tools` in the project's folder, and return its output; fail if it fails."""
    ended = subprocess.run([tool(name), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
