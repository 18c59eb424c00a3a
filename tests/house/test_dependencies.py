"""Run-time dependencies: each is imported, declared with a range, and described; nothing else is imported."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import license_document
from tests.support.films import ROOT

_INDIRECT = {
    "python-multipart": "FastAPI loads it to read forms",
}
"""Dependencies that another library imports on the package's behalf."""


EXTRAS = ("openvino", "onnx", "s3", "safetensors", "oidc", "otel")
"""Extras that the node uses; the others are for tests, training and benchmarks."""
_PAGE = ROOT / "docs" / "reference" / "dependencies.md"


@cache
def importers() -> dict[str, set[str]]:
    """Return the top-level modules that the package imports, and which of its packages import each."""
    names: dict[str, set[str]] = {}
    for path in (ROOT / "cxr_node").rglob("*.py"):
        package = path.relative_to(ROOT / "cxr_node").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=aliases):
                    modules = [alias.name for alias in aliases]
                case ast.ImportFrom(module=str(module)):
                    modules = [module]
                case _:
                    continue
            for module in modules:
                names.setdefault(module.partition(".")[0], set()).add(package)
    return {name: packages for name, packages in names.items() if name not in {*sys.stdlib_module_names, "cxr_node"}}


def imported() -> set[str]:
    """Return the top-level modules that the package imports, without the standard library and itself."""
    return set(importers())


def requirements(*extras: str) -> list[Requirement]:
    """Return the requirements that pyproject.toml has for run time, and for the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [Requirement(line) for line in lines]


def declared(*extras: str) -> set[str]:
    """Return the distributions that pyproject.toml names for run time, and for the extras."""
    return {canonicalize_name(requirement.name) for requirement in requirements(*extras)}


def distributions(modules: set[str]) -> set[str]:
    """Return which distributions provide the modules."""
    return {canonicalize_name(name) for module in modules for name in _distributions_by_module().get(module, [])}


_distributions_by_module = cache(packages_distributions)


@pytest.mark.slow
def test_each_run_time_dependency_is_imported_by_the_package() -> None:
    assert declared() - distributions(imported()) == set(_INDIRECT)


@pytest.mark.slow
def test_each_import_is_a_declared_dependency() -> None:
    missing = {module for module in imported() if not distributions({module}) & declared(*EXTRAS)}
    assert missing - {"starlette"} == set()


def test_each_dependency_has_a_lower_and_an_upper_bound() -> None:
    open_ended = [
        str(requirement)
        for requirement in requirements(*EXTRAS)
        if not {">=", "<"} <= {specifier.operator for specifier in requirement.specifier}
    ]
    assert open_ended == []


@pytest.mark.slow
def test_the_page_has_use_extra_and_packages_of_each_dependency() -> None:
    rows = re.findall(
        r"^\| ([a-z0-9-]+) \| [^|]{3,} \|(?: ([a-z0-9]+) \|)? ([a-z_, ]*)\|$", _PAGE.read_text("utf-8"), re.M
    )
    described = {name: (extra, packages.strip()) for name, extra, packages in rows if name != "distribution"}

    users: dict[str, set[str]] = {name: set() for name in declared(*EXTRAS)}
    for module, packages in importers().items():
        for name in distributions({module}) & users.keys():
            users[name] |= packages
    extras = {name: extra for extra in EXTRAS for name in declared(extra) - declared()}
    assert {name: extra for name, (extra, _) in described.items()} == {name: extras.get(name, "") for name in users}
    for name, (_, column) in described.items():
        named = set(filter(None, column.split(", ")))
        assert named <= users[name], name
        assert bool(named) == bool(users[name]), name


@pytest.mark.slow
def test_the_licenses_are_those_of_what_is_installed() -> None:
    text = license_document.text()

    assert license_document.DOCUMENT.read_text(encoding="utf-8") == text, "python -m tests.support.license_document"
    assert not re.search(r"\| *\| \d+ \|$", text, re.MULTILINE), "a distribution states no license"
