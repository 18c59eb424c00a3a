"""What the documents say is so."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node import config
from cxr_node.cli.app import COMMANDS, app
from cxr_node.deliver.destinations import DESTINATIONS
from cxr_node.ops import example_config
from cxr_node.settings.root import Settings
from tests.support.films import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_example_configuration_is_complete_and_holds_the_defaults() -> None:
    text = (ROOT / "config.example.toml").read_text(encoding="utf-8")

    assert text == example_config.text(), "write it anew with: cxr-node config example > config.example.toml"
    assert config.parse(tomllib.loads(text)) == Settings()


def test_the_example_destinations_are_valid_without_comment_marks() -> None:
    head, _, destinations = example_config.text().partition("# Destinations.")
    lines = destinations.splitlines()[1:]
    text = head + "\n".join(re.sub(r"^# (?=\[\[|\w+ = )", "", line) for line in lines)

    settings = config.parse(tomllib.loads(text))

    assert [type(destination) for destination in settings.deliver.destinations] == list(DESTINATIONS)


def test_the_readme_begins_with_the_two_commands_and_make_knows_them() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line.split("#")[0].strip() for line in lines if line.startswith("    make ")][:2]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert commands == ["make demo", "make test"]
    for command in commands:
        assert f"\n{command.removeprefix('make ')}:" in makefile


def test_every_command_in_the_documents_exists() -> None:
    commands = 0
    for document in DOCUMENTS:
        for line in document.read_text(encoding="utf-8").splitlines():
            for command in re.findall(r"(?:`|^ +(?:\.venv/bin/)?)cxr-node ([a-z]+)", line):
                commands += 1
                assert command in COMMANDS, f"{document.name}: {line}"
    assert commands > 10


@pytest.mark.slow
@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_command_explains_itself(command: list[str]) -> None:
    answer = CliRunner().invoke(app, [*command, "--help"])

    assert answer.exit_code == 0
    assert "Usage" in answer.output


def test_every_link_in_the_documents_leads_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_test_that_the_documents_name_is_there() -> None:
    for document in DOCUMENTS:
        for path in re.findall(r"`(tests/[\w/]+\.py)`", document.read_text(encoding="utf-8")):
            assert (ROOT / path).is_file(), f"{document.name}: {path}"


def test_packages_re_export_nothing() -> None:
    for path in (ROOT / "cxr_node").rglob("__init__.py"):
        lines = path.read_text(encoding="utf-8").strip().splitlines()
        assert not [line for line in lines if line.startswith(("import ", "from "))], path


def test_no_module_has_a_generic_name() -> None:
    forbidden = {"common", "utils", "util", "helpers", "helper", "misc"}

    assert not [path for path in (ROOT / "cxr_node").rglob("*") if path.stem in forbidden]


def test_every_setting_has_a_description_and_times_a_unit() -> None:
    for name, section in Settings.model_fields.items():
        assert isinstance(section.annotation, type), name
        for key, field in section.annotation.model_fields.items():
            assert field.description or key == "destinations", f"{name}.{key}"
            if key.endswith("_s"):
                assert "seconds" in (field.description or ""), f"{name}.{key}"


def test_documents_name_no_machine() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"(^|[ `(])/(root|home|tmp)/", document.read_text(encoding="utf-8")), document


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {re.split(r"[\[<>=]", requirement)[0].lower() for requirement in wanted} - {"cxr-node"}
    lines = Path(ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}

    assert names <= pinned
    assert "torch" in pinned


def test_each_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name.partition("-")[0] for path in (ROOT / "docs" / "decisions").glob("*.md")]
    assert sorted(numbers) == sorted(set(numbers))
