"""Every gate passes on the tree, and bites on a planted fault."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.films import ROOT

BIN = Path(sys.executable).parent
PYPROJECT = ROOT / "pyproject.toml"


def gate(*command: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # Options of this run are not those of the command.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return subprocess.run([BIN / command[0], *command[1:]], cwd=folder, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        # Two minutes without its cache; `make gates`, which continuous integration runs, has it too.
        pytest.param(("mypy",), marks=[pytest.mark.long, pytest.mark.timeout(900)]),
        ("lint-imports",),
    ],
    ids=" ".join,
)
def test_the_tree_passes(command: tuple[str, ...]) -> None:
    ended = gate(*command)

    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_continuous_integration_runs_every_gate() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ngates:")[2].partition("\n\n")[0]

    assert "make gates" in lines
    assert re.findall(r"\$\(BIN\)/(.+)", recipe) == ["ruff format --check .", "ruff check .", "mypy", "lint-imports"]


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (("ruff", "format", "--check"), "x = {'a':1}\n"),
        (("ruff", "check"), "import os\n"),
        (("ruff", "check"), "def read(text: str) -> object:\n    return eval(text)\n"),
        (("ruff", "check"), 'try:\n    print("x")\nexcept Exception:\n    pass\n'),
        (("mypy",), 'rows: int = "512"\n'),
        (("mypy",), "def window(center):\n    return center\n"),
    ],
)
def test_format_lint_and_types_bite(command: tuple[str, ...], fault: str, tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(fault, encoding="utf-8")
    option = "--config-file" if command[0] == "mypy" else "--config"

    ended = gate(*command, option, str(PYPROJECT), str(planted))

    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "planted.py" in ended.stdout + ended.stderr


@pytest.mark.parametrize("fault", ['warnings.warn("old")', "(lambda: open(__file__))()"])
def test_a_warning_in_a_test_fails_it(fault: str, tmp_path: Path) -> None:
    planted = tmp_path / "test_planted.py"
    planted.write_text(f"import warnings\n\ndef test_planted():\n    {fault}\n", encoding="utf-8")

    ended = gate("pytest", "-c", str(PYPROJECT), "--rootdir", str(tmp_path), "-p", "no:cacheprovider", str(planted))

    assert ended.returncode == 1, ended.stdout
    assert "1 failed" in ended.stdout
