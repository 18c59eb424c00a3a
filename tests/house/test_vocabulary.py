"""Names and sizes: no identifier of the old vocabulary, no module, function or test name beyond its limit."""

import ast
import functools
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from tests.support.films import ROOT

PACKAGES = ("cxr_node", "tests", "training", "benchmarks", "migrations", "deploy")
FORBIDDEN = frozenset(
    [
        "said",
        "told",
        "desk",
        "eye",
        "eyes",
        "bell",
        "bells",
        "company",
        "shop",
        "door",
        "guests",
        "pace",
        "witness",
        "aside",
        "strangers",
        "crowd",
        "legs",
        "sight",
        "behaving",
        "upkeep",
        "outbound",
        "vouch",
        "asker",
        "askers",
        "hasten",
        "urge",
    ]
)
EMPTY = frozenset(["said", "told", "found", "kept", "made", "each", "of", "given", "seen", "got", "asked"])
"""Words that name nothing by themselves. A method `of` makes an instance, or returns a value by its key."""
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
LONGEST_TEST_NAME = 70
LARGEST_MEDIAN = 120

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def modules() -> list[Path]:
    """Return the Python files of the project."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a module defines: names with their lines, and functions with their lengths in lines.

    Variables are the names of variables, arguments, functions of a module and classes.
    """

    names: tuple[tuple[int, str], ...]
    variables: tuple[tuple[int, str], ...]
    functions: tuple[tuple[str, int], ...]


@functools.cache
def definitions(path: Path) -> Definitions:
    """Return what a module defines; each module is parsed once for all tests."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    bodies = (node.body for node in nodes if isinstance(node, ast.ClassDef))
    methods = {id(statement) for body in bodies for statement in body}
    names, variables = [], []
    for node in nodes:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                names.append((node.lineno, node.name))
                if id(node) not in methods or isinstance(node, ast.ClassDef):
                    variables.append((node.lineno, node.name))
            case ast.arg():
                names.append((node.lineno, node.arg))
                variables.append((node.lineno, node.arg))
            case ast.Name(ctx=ast.Store()):
                names.append((node.lineno, node.id))
                variables.append((node.lineno, node.id))
            case ast.Attribute(ctx=ast.Store()):
                names.append((node.lineno, node.attr))
            case ast.alias(asname=str(name)):
                names.append((node.lineno, name))
    lengths = ((node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions)
    return Definitions(names=tuple(names), variables=tuple(variables), functions=tuple(lengths))


def parts(name: str) -> set[str]:
    """Return the words of an identifier in lower case."""
    return {part.lower() for part in _PART.findall(name)}


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_every_variable_has_a_name(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        variables = definitions(path).variables
        empty = [f"{path}:{line}: {name}" for line, name in variables if name.strip("_") in EMPTY]
        assert not empty, empty


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_is_of_the_old_vocabulary(package: str) -> None:
    violations = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in modules()
        if path.is_relative_to(ROOT / package)
        for line, name in [(1, path.stem), *definitions(path).names]
        if parts(name) & FORBIDDEN
    ]
    assert violations == []


@pytest.mark.parametrize(
    ("name", "is_old"), [("bellows", False), ("_EyeDied", True), ("is_told", True), ("legal", False)]
)
def test_names_are_split_into_words(name: str, is_old: bool) -> None:
    assert bool(parts(name) & FORBIDDEN) is is_old


def test_no_module_is_longer_than_its_limit() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in modules()
        if path.is_relative_to(ROOT / "cxr_node")
    }
    assert {path: length for path, length in lengths.items() if length > LONGEST_MODULE} == {}
    assert median(length for path, length in lengths.items() if not path.endswith("__init__.py")) <= LARGEST_MEDIAN


@pytest.mark.slow
def test_no_function_is_longer_than_its_limit() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{name}": length
        for path in modules()
        if path.is_relative_to(ROOT / "cxr_node")
        for name, length in definitions(path).functions
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


@pytest.mark.slow
def test_test_names_are_short_sentences() -> None:
    too_long = [
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for _, name in definitions(path).names
        if name.startswith("test_") and len(name) > LONGEST_TEST_NAME
    ]
    assert too_long == []


def test_the_worker_stays_small_and_knows_no_handler() -> None:
    worker = (ROOT / "cxr_node" / "work" / "worker.py").read_text(encoding="utf-8")
    assert len(worker.splitlines()) < 200
    assert "isinstance" not in worker
    assert "work.handlers" not in worker
