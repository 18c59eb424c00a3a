"""Import contracts: each is broken by a fault planted in each package that it covers."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.films import ROOT

PYPROJECT = ROOT / "pyproject.toml"
CONTRACTS = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
FORBIDDEN = [contract for contract in CONTRACTS if contract["type"] == "forbidden"]
(LAYERS,) = (contract["layers"] for contract in CONTRACTS if contract["type"] == "layers")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package and its contracts."""
    return copy_of_package(tmp_path)


def copy_of_package(tmp_path: Path) -> Path:
    """Copy the package and its contracts to a folder, without the built-in bundle's files."""
    tmp_path.mkdir(exist_ok=True)
    shutil.copytree(ROOT / "cxr_node", tmp_path / "cxr_node", ignore=shutil.ignore_patterns("bundles", "__pycache__"))
    (tmp_path / "cxr_node" / "bundles").mkdir()
    (tmp_path / "cxr_node" / "bundles" / "__init__.py").touch()
    shutil.copy(PYPROJECT, tmp_path)
    return tmp_path


def plant(tree: Path, module: str, statement: str) -> str:
    """Append a statement to a module, or add a module with it to a package; return the module's name."""
    path = tree / module.replace(".", "/")
    if path.is_dir():
        module, path = f"{module}.planted", path / "planted.py"
    else:
        path = path.with_suffix(".py")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"{text}\n{statement}\n", encoding="utf-8")
    return module


def broken(tree: Path) -> str:
    """Run the linter, which must fail, and return its report."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    ended = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("contract", FORBIDDEN, ids=lambda contract: contract["name"])
def test_a_forbidden_import_in_any_package_fails(contract: dict[str, list[str]], tree: Path) -> None:
    sources = contract["source_modules"]
    if sources == ["cxr_node"]:
        sources = [f"cxr_node.{path.name}" for path in (tree / "cxr_node").iterdir() if (path / "__init__.py").exists()]
    forbidden = contract["forbidden_modules"][0]

    planted = [plant(tree, source, f"import {forbidden}") for source in sources]

    report = broken(tree)
    assert [module for module in planted if f"{module} -> {forbidden}" not in report] == []


def test_an_import_of_a_higher_layer_fails_in_any_layer(tree: Path) -> None:
    names = [name.strip() for layer in LAYERS[1:] for name in layer.split("|")]
    planted = [plant(tree, f"cxr_node.{name}", "import cxr_node.__main__") for name in names]

    report = broken(tree)

    assert [module for module in planted if f"{module} -> cxr_node.__main__" not in report] == []


def test_a_module_in_no_layer_fails(tree: Path) -> None:
    plant(tree, "cxr_node.unheard_of", "from cxr_node.domain import codes")

    assert "unheard_of" in broken(tree)


def test_an_import_between_stages_fails(tree: Path) -> None:
    (stages,) = (layer.split(" | ") for layer in LAYERS if "pixels" in layer)
    planted = [
        plant(tree, f"cxr_node.{stage}", f"import cxr_node.{other}")
        for stage, other in zip(stages, [*stages[1:], stages[0]], strict=True)
    ]

    report = broken(tree)

    assert [module for module in planted if f"{module} -> cxr_node." not in report] == []


@pytest.mark.ci(short="test_a_forbidden_import_in_any_package_fails[The receiving process imports no PyTorch]")
def test_torch_in_any_module_that_receiving_loads_fails(tree: Path) -> None:
    code = "import sys, cxr_node.wiring.receive; print(*[m for m in sys.modules if m.startswith('cxr_node.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    modules = [name for name in loaded if (ROOT / name.replace(".", "/")).with_suffix(".py").exists()]
    assert len(modules) > 50
    for module in modules:
        plant(tree, module, "import torch")

    report = broken(tree)

    # The linter reports the shortest chain only: a module that it leaves out is tried alone.
    for number, module in enumerate(name for name in modules if f"{name} -> torch" not in report):
        alone = copy_of_package(tree / f"alone{number}")
        plant(alone, module, "import torch")
        assert f"{module} -> torch" in broken(alone)
