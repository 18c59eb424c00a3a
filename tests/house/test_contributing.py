"""Files for contributors: targets, files and programs that they name exist."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support import peers, tools
from tests.support.films import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
]


def steps(workflow: Path) -> list[str]:
    """Return the commands of a workflow."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def test_every_target_that_is_named_exists() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in [*DOCUMENTS, ROOT / ".ci" / "run"]}
    named = {
        (name, target)
        for name, text in texts.items()
        for target in re.findall(r"(?:`|^    |^)make ([a-z][a-z-]*)(?=[`\s;&])", text, re.MULTILINE)
    }
    named |= {(path.name, step.split()[1]) for path in WORKFLOWS for step in steps(path) if step.startswith("make ")}

    assert {(name, target) for name, target in named if target not in TARGETS} == set()
    assert {"quick", "gates", "test"} <= {target for _, target in named}


def test_workflows_run_the_gates_the_tests_and_the_packages() -> None:
    commands = {step for path in WORKFLOWS for step in steps(path)}

    assert {"make gates", "make quick", "bash .ci/run", "make try-dist", "make try-offline", "make audit"} <= commands
    for path in WORKFLOWS:
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["permissions"] == {"contents": "read"}, path.name


def test_workflows_begin_with_the_oldest_python_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    quick = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]["quick"]

    versions = quick["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={versions[0]}"
    assert versions == [f"3.{minor}" for minor in range(11, 11 + len(versions))]


def test_owners_are_of_folders_that_exist() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    patterns = [line.split()[0] for line in lines if line and not line.startswith("#")]

    assert patterns[0] == "*"
    assert [pattern for pattern in patterns[1:] if not (ROOT / pattern.strip("/")).is_dir()] == []


def test_hooks_are_gates() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    recipe = MAKEFILE.partition("\ngates:")[2].partition("\n\n")[0]

    for hook in hooks:
        name = hook["entry"].split()[0]
        assert f"$(BIN)/{Path(name).name}" in recipe


def packages_of_continuous_integration() -> set[str]:
    """Return the Debian packages that `.ci/run` installs."""
    listed = (ROOT / ".ci" / "run").read_text(encoding="utf-8").partition("packages=(")[2].partition(")")[0]
    return {line.split("#")[0].strip() for line in listed.splitlines()} - {""}


def test_continuous_integration_installs_every_peer_of_the_tests() -> None:
    """A test whose peer is missing fails there, but only on a machine that does not happen to have the peer."""
    named = set(peers.PACKAGES.values())
    for path in (ROOT / "tests").rglob("*.py"):
        named |= set(re.findall(r'missing\("[^"]+", "([a-z0-9-]+)"\)', path.read_text(encoding="utf-8")))

    assert {"orthanc-dicomweb", "libpixelmed-java"} <= named
    # Only `make pictures` runs a desktop program.
    assert named - {"dicomscope", "xvfb", "xdotool"} <= packages_of_continuous_integration()


def test_the_dev_container_has_the_packages_of_continuous_integration() -> None:
    packages = packages_of_continuous_integration()
    container = (ROOT / ".devcontainer" / "Containerfile").read_text(encoding="utf-8")
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))

    assert packages <= set(re.findall(r"^    ([a-z0-9-]+) \\$", container, re.MULTILINE))
    assert settings["postCreateCommand"] == "make .venv/installed-test"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", [f".github/workflows/{path.name}" for path in WORKFLOWS]),
        ("vendor.dependabot", [".github/dependabot.yml"]),
    ],
    ids=["workflows", "dependabot"],
)
def test_the_files_of_the_forge_are_valid(schema: str, files: list[str]) -> None:
    tools.run("check-jsonschema", "--builtin-schema", schema, *files)
