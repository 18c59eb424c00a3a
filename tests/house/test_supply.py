"""What the node is made of: pinned by hash, and nothing in it that runs what it is given."""

import ast
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distributions, metadata, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.support.films import ROOT

CPU, GPU, EXTRAS = (ROOT / "deploy" / f"requirements-{build}.txt" for build in ("cpu", "gpu", "extras"))

_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "pty", "commands"}
_BUILTINS = {"eval", "exec", "compile", "__import__"}
_CALLS = {
    ("os", "system"),
    ("os", "popen"),
    ("subprocess", "getoutput"),
    ("subprocess", "getstatusoutput"),
    ("torch", "load"),
    ("torch", "save"),
    ("np", "load"),
    ("yaml", "load"),
    ("importlib", "import_module"),
}
_ALLOWED = {("infer/torch_pickle.py", "imports pickle"), ("cli/app.py", "calls importlib.import_module")}
"""The reader of published weights: an unpickler that knows no class but its own, in a process that can run nothing;
the command line, which imports a module of a constant table when its command is run."""


def dangers(source: str) -> list[str]:
    """Return what in a module could run what it is given."""
    violations: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                violations += [f"imports {alias.name}" for alias in names if alias.name.partition(".")[0] in _MODULES]
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in _MODULES:
                violations.append(f"imports {module}")
            case ast.Call(func=ast.Name(id=name)) if name in _BUILTINS:
                violations.append(f"calls {name}")
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)) if (module, name) in _CALLS:
                violations.append(f"calls {module}.{name}")
            case ast.keyword(arg="shell" | "allow_pickle", value=value) if not _is_false(value):
                violations.append("asks for a shell or a pickle")
            case _:
                pass
    return violations


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


@pytest.mark.slow
def test_nothing_in_the_node_runs_what_it_is_given() -> None:
    package = ROOT / "cxr_node"
    dangerous = {
        (path.relative_to(package).as_posix(), danger)
        for path in package.rglob("*.py")
        for danger in dangers(path.read_text(encoding="utf-8"))
    }

    assert dangerous == _ALLOWED


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load(path)",
        "eval(text)",
        "exec(text)",
        "import os\nos.system(command)",
        "import subprocess\nsubprocess.run(command, shell=True)",
        "import subprocess\nsubprocess.run(command, shell=asked)",
        "import numpy as np\nnp.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "def f():\n    import marshal",
        "__import__(name)",
    ],
)
def test_the_gate_bites(planted: str) -> None:
    assert dangers(planted)


@pytest.mark.parametrize("harmless", ["network.eval()", "re.compile(text)", "subprocess.run([a], shell=False)"])
def test_the_gate_bites_nothing_else(harmless: str) -> None:
    assert dangers(harmless) == []


def locked(path: Path) -> dict[str, str]:
    """Return name to version of a file of requirements, each of which must have its hashes."""
    pins: dict[str, str] = {}
    for entry in re.split(r"(?<!\\)\n", path.read_text(encoding="ascii")):
        if not entry.strip() or entry.startswith("#"):
            continue
        match = re.fullmatch(r"([\w.\-]+)==([\w.+]+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)", entry)
        assert match is not None, f"{path.name}: {entry}"
        pins[canonicalize_name(match.group(1))] = match.group(2)
    return pins


def needed(texts: Iterable[str], *, names: set[str] | None = None) -> set[str]:
    """Return what these requirements come to here, however far down."""
    names = set() if names is None else names
    for requirement in map(Requirement, texts):
        other = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if other not in names:
            names.add(other)
            needed(requires(other) or (), names=names)
        for extra in requirement.extras:
            needed(_of_extra(other, extra), names=names)
    return names


def _of_extra(name: str, extra: str) -> list[str]:
    """Return what an extra of a distribution adds, without the marker that says so."""
    requirements = [Requirement(text) for text in requires(name) or ()]
    return [
        f"{requirement.name}{requirement.specifier}"
        for requirement in requirements
        if requirement.marker is not None
        and requirement.marker.evaluate({"extra": extra})
        and not requirement.marker.evaluate({"extra": ""})
    ]


def test_every_dependency_is_pinned_by_hash_at_its_tested_version() -> None:
    pinned = locked(CPU if version("torch").endswith("+cpu") else GPU)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = needed(project["dependencies"])

    assert wanted - pinned.keys() == set()
    # Libraries of CUDA, which only PyTorch's other build brings, are not in constraints.txt.
    named = wanted & locked(CPU).keys()
    assert {name: pinned[name].partition("+")[0] for name in named} == {
        name: version(name).partition("+")[0] for name in named
    }


def test_the_gpu_build_is_the_same_but_for_pytorch_and_what_it_brings() -> None:
    cpu, gpu = locked(CPU), locked(GPU)

    assert cpu.pop("torch").partition("+")[0] == gpu.pop("torch")
    assert cpu.items() <= gpu.items()
    assert {name for name in gpu.keys() - cpu.keys() if not name.startswith(("nvidia-", "cuda-"))} == {"triton"}


def test_the_extras_of_packages_and_images_are_pinned_beside_the_base() -> None:
    base, extras = locked(CPU), locked(EXTRAS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = needed(line for name in ("s3", "oidc", "otel") for line in project["optional-dependencies"][name])

    assert base.keys() & extras.keys() == set()
    assert wanted - base.keys() == extras.keys()
    assert extras == {name: version(name) for name in extras}


@pytest.mark.parametrize("path", [CPU, GPU, EXTRAS], ids=lambda path: path.stem)
def test_the_pins_name_no_place_to_fetch_from(path: Path) -> None:
    text = path.read_text(encoding="ascii")

    assert not re.search(r"https?:|file:|--(index|extra-index|find-links|trusted)", text)


def test_no_pinned_package_asks_for_a_newer_python_than_debian_12_has() -> None:
    """Debian 12 has 3.11.2, and a later bug-fix version here hides what cannot be installed there."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="ascii"), re.MULTILINE))
    pinned = {canonicalize_name(name): number for name, number in pins.items()}
    required = {
        distribution.name: SpecifierSet(str(distribution.metadata.json.get("requires_python", "")))
        for distribution in distributions()
        if pinned.get(canonicalize_name(distribution.name)) == distribution.version
    }

    assert len(required) > 100
    assert [name for name, versions in required.items() if not versions.contains("3.11.2")] == []


def test_dependencies_with_further_conditions_are_in_the_notices() -> None:
    notices = (ROOT / "NOTICE.md").read_text(encoding="utf-8")
    names = {canonicalize_name(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", CPU.read_text("utf-8"), re.M)}
    licensed = {str(name): _license_of(name) for name in names}

    assert "LGPL" in licensed["psycopg"]
    rows = re.findall(r"^\| ([^|]+) \|", notices, re.MULTILINE)
    noted = {name.strip() for row in rows for name in row.split(",")}
    assert {name for name, terms in licensed.items() if re.search("GPL|MPL", terms)} <= noted


def _license_of(name: str) -> str:
    try:
        terms: Mapping[str, object] = metadata(name).json
    except PackageNotFoundError:  # of another extra
        return ""
    return f"{terms.get('license_expression', '')} {str(terms.get('license', ''))[:80]}"
