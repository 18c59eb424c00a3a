"""Recipes of docs/how-to/change.md against the code."""

import importlib
import re
from collections.abc import Callable, Collection
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
from pydicom.dataset import Dataset

from cxr_node.cli import app
from cxr_node.deliver.destination import DestinationKind
from cxr_node.domain.result_languages import LANGUAGE_NAMES
from cxr_node.domain.result_names import RESULT_NAMES
from cxr_node.pixels import suitability
from cxr_node.queries.views.view import View
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.settings.root import Settings
from cxr_node.wiring.periodic import JobSpec
from tests.support.films import ROOT

PACKAGE = ROOT / "cxr_node"
PAGE = (ROOT / "docs" / "how-to" / "change.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([a-z ]+) \| ([^|]+) \| `(\w+)` in `([\w/]+)\.py` \| `([\w/.]+)` \|$", PAGE, re.MULTILINE)
"""Change, number of source files, name of the list, module without suffix, and test."""


def is_class(kind: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, type) and issubclass(value, kind)


def holds(kind: type) -> Callable[[Collection[object]], bool]:
    return lambda entries: bool(entries) and all(isinstance(entry, kind) for entry in entries)


EXPECTED: dict[str, Callable[..., bool]] = {
    "RESULT_KINDS": holds(ResultKind),
    "DESTINATIONS": lambda kinds: bool(kinds) and all(map(is_class(DestinationKind), kinds)),
    "VIEWS": lambda views: holds(View)(views.values()),
    "FINDINGS": lambda rows: all(len(row) == len(("code", "site", "proof")) for row in rows.values()),
    "LANGUAGE_NAMES": holds(str),
    "_CHECKS": lambda checks: bool(checks) and all(map(callable, checks)),
    "_Node": lambda collector: hasattr(collector, "collect"),
    "COMMANDS": lambda commands: all(":" in entry.place for entry in commands.values()),
    "JOBS": holds(JobSpec),
    "Settings": is_class(Settings),
}


def module_of(path: str) -> ModuleType:
    return importlib.import_module(f"cxr_node.{path.replace('/', '.')}")


def test_every_recipe_has_its_row_in_the_table() -> None:
    recipes = re.findall(r"^## Add an? (.+)$", PAGE, re.MULTILINE)

    assert [change.replace("column of", "column to") for change, *_ in ROWS] == recipes
    assert {name for _, _, name, _, _ in ROWS} == set(EXPECTED)


@pytest.mark.parametrize(("name", "path"), [(name, path) for _, _, name, path, _ in ROWS])
def test_a_list_of_the_table_holds_what_the_page_says(name: str, path: str) -> None:
    assert EXPECTED[name](getattr(module_of(path), name))


def test_every_path_of_the_page_exists() -> None:
    paths = [path for path in re.findall(r"`([\w/.*-]+)`", PAGE) if "/" in path]
    paths = [re.sub("NAME|VIEW|FILE", "*", path) for path in paths]

    assert len(paths) > len(ROWS)
    for path in paths:
        assert [*ROOT.glob(path), *PACKAGE.glob(path)], path


@pytest.mark.parametrize(
    ("registry", "name", "is_entry"),
    [
        ("report/kinds/registry", "RESULT_KINDS", lambda value: isinstance(value, ResultKind)),
        ("report/languages/registry", "LANGUAGES", lambda value: isinstance(value, Language)),
        (
            "deliver/destinations",
            "DESTINATIONS",
            lambda value: is_class(DestinationKind)(value) and value is not DestinationKind,
        ),
    ],
)
def test_what_a_module_defines_is_in_its_list(registry: str, name: str, is_entry: Callable[[object], bool]) -> None:
    listed = getattr(module_of(registry), name)
    entries = [*(listed.values() if isinstance(listed, dict) else listed)]
    folder = Path(registry).parent

    for path in (PACKAGE / folder).glob("*.py"):
        for value in vars(module_of(f"{folder}/{path.stem}")).values():
            assert not is_entry(value) or value in entries, f"{path.name}: {value}"


@pytest.mark.parametrize(("folder", "name"), [("report/languages", "LANGUAGES"), ("queries/views", "VIEWS")])
def test_every_data_file_is_in_its_list(folder: str, name: str) -> None:
    names = {path.stem for path in (PACKAGE / folder).glob("*.toml")} - {"shared"}

    assert names == set(getattr(module_of(f"{folder}/registry"), name))


def test_the_settings_name_every_language_and_every_result_kind() -> None:
    assert list(LANGUAGE_NAMES) == list(LANGUAGES)
    assert list(RESULT_NAMES) == [kind.name for kind in RESULT_KINDS]


def test_every_header_check_of_the_gate_is_in_its_list() -> None:
    values = vars(suitability).values()
    functions = [
        value for value in values if isinstance(value, FunctionType) and value.__module__ == suitability.__name__
    ]
    checks = [
        function
        for function in functions
        if function.__annotations__.get("return") == suitability._Refusal
        and Dataset in function.__annotations__.values()
    ]

    assert set(checks) == set(suitability._CHECKS)


def test_every_module_of_a_command_is_registered() -> None:
    helpers = {"__init__", "app", "database", "group_arguments", "rows", "searching", "terminal", "time_arguments"}
    helpers |= {"peer_argument", "demo_files", "demo_page", "demo_table", "onnx_films", "onnx_questions"}
    groups = {"bundle_activate", "bundle_import", "bundle_import_onnx", "bundles", "database_copy", "grants"}
    modules = {path.stem for path in (PACKAGE / "cli").glob("*.py")} - helpers - groups

    assert modules == {entry.place.partition(":")[0] for entry in app.COMMANDS.values()}


def test_every_setting_is_used_outside_the_settings() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if "settings" not in path.relative_to(PACKAGE).parts]
    used = set(re.findall(r"\.(\w+)\b", "\n".join(path.read_text(encoding="utf-8") for path in modules)))

    for name, section in Settings.model_fields.items():
        assert isinstance(section.annotation, type), name
        fields = section.annotation.model_fields
        assert set(fields) <= used, f"[{name}] {set(fields) - used}"
