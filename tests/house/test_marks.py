"""Tests that `make test` leaves out for continuous integration: a test of the same promise runs in their place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import marks
from tests.support.films import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PLANTED = """
import pytest

@pytest.mark.parametrize("kind", [pytest.param("sqlite"), pytest.param("postgresql")])
@pytest.mark.ci_on_postgresql
def test_pair(kind): ...

@pytest.mark.ci(short="test_pair")
def test_of_a_test(): ...

@pytest.mark.ci(short="test_pair[sqlite]")
def test_of_a_variant(): ...

@pytest.mark.ci(short="test_pair[postgresql]")
def test_of_one_left_out(): ...

@pytest.mark.long
def test_long(): ...

@pytest.mark.ci(short="test_long")
def test_of_a_long_one(): ...

@pytest.mark.ci(short="test_gone")
def test_of_none(): ...

@pytest.mark.ci(short="test_no_such_file.py::test_pair")
def test_of_no_file(): ...

@pytest.mark.ci
def test_unnamed(): ...

@pytest.mark.ci_on_postgresql
@pytest.mark.parametrize("kind", [pytest.param("sqlite", marks=pytest.mark.long), "postgresql"])
def test_pair_left_out(kind): ...
"""
CONFTEST = """
from tests.support import marks

def pytest_collection_modifyitems(items):
    marks.mark_postgresql(items)
    for fault in marks.ci_faults(items):
        print("FAULT", fault)
"""


def collect(folder: Path, expression: str) -> list[str]:
    """Return the lines of pytest's collection of the planted tests."""
    folder.joinpath("test_planted.py").write_text(PLANTED, encoding="utf-8")
    folder.joinpath("conftest.py").write_text(CONFTEST, encoding="utf-8")
    names = ("long", "ci(short)", "ci_on_postgresql")
    folder.joinpath("pytest.ini").write_text(
        f"[pytest]\npythonpath = {ROOT}\nmarkers =\n" + "".join(f"    {name}\n" for name in names), encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qs", "-p", "no:schemathesis", "-m", expression]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_ci_test_names_one_that_runs_in_its_place(tmp_path: Path) -> None:
    faults = [line for line in collect(tmp_path, "not long and not ci") if line.startswith("FAULT")]

    assert [line.split("::", 1)[1] for line in faults] == [
        "test_of_one_left_out: `make test` runs no test_planted.py::test_pair[postgresql]",
        "test_of_a_long_one: `make test` runs no test_planted.py::test_long",
        "test_of_none: `make test` runs no test_planted.py::test_gone",
        "test_of_no_file: `make test` runs no test_no_such_file.py::test_pair",
        "test_unnamed: `ci` takes short=NAME and nothing else",
        "test_pair_left_out[postgresql]: `make test` runs no test_planted.py::test_pair_left_out[sqlite]",
    ]


@pytest.mark.slow
def test_make_test_leaves_out_what_continuous_integration_runs(tmp_path: Path) -> None:
    recipe = MAKEFILE.partition("\ntest:")[2].partition("\n\n")[0]

    assert '-m $(if $(CI),"not long" $(COVERAGE),"not long and not ci")' in recipe
    assert '-m "long or ci"' in MAKEFILE.partition("\ntest-long:")[2].partition("\n\n")[0]
    assert "CI=true make test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    run = [line for line in collect(tmp_path, "not long and not ci") if line.startswith("test_planted.py")]
    assert run == ["test_planted.py::test_pair[sqlite]"]


def test_each_value_of_a_product_is_in_a_variant_that_runs() -> None:
    variants = marks.each_once("test_it", {"a": 1, "b": 2, "c": 3}, {"x": 4, "y": 5})

    assert [(one.id, one.values) for one in variants if not one.marks] == [
        ("a-x", (1, 4)),
        ("b-y", (2, 5)),
        ("c-x", (3, 4)),
    ]
    assert [one.id for one in variants] == ["a-x", "a-y", "b-x", "b-y", "c-x", "c-y"]
    assert all(mark.name == "ci" for one in variants for mark in one.marks)
