"""Run-time dependencies: each is imported by the package, and nothing is imported that is not declared."""

import ast
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.films import ROOT

_INDIRECT = {
    "python-multipart": "FastAPI loads it to read forms",
}
"""Dependencies that another library imports on the package's behalf."""


@cache
def imported() -> set[str]:
    """Return the top-level modules that the package imports, without the standard library and itself."""
    names: set[str] = set()
    for path in (ROOT / "cxr_node").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=aliases):
                    names |= {alias.name.partition(".")[0] for alias in aliases}
                case ast.ImportFrom(module=str(module)):
                    names.add(module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"cxr_node"}


def declared(*extras: str) -> set[str]:
    """Return the distributions that pyproject.toml names for run time, and for the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def distributions(modules: set[str]) -> set[str]:
    """Return which distributions provide the modules."""
    return {canonicalize_name(name) for module in modules for name in _distributions_by_module().get(module, [])}


_distributions_by_module = cache(packages_distributions)


@pytest.mark.slow
def test_each_run_time_dependency_is_imported_by_the_package() -> None:
    assert declared() - distributions(imported()) == set(_INDIRECT)


@pytest.mark.slow
def test_each_import_is_a_declared_dependency() -> None:
    extras = ("openvino", "onnx", "s3", "safetensors", "oidc", "otel")
    missing = {module for module in imported() if not distributions({module}) & declared(*extras)}
    assert missing - {"starlette"} == set()
