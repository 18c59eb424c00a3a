"""The pages of the documentation against the program: commands, settings, metrics, views, headings, blocks of code."""

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cxr_node.cli.app import COMMANDS, app
from cxr_node.queries.views.registry import VIEWS
from cxr_node.settings.root import Settings
from tests.support.films import ROOT

PAGES = [path for path in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")]) if path.parent.name != "decisions"]
_FENCE = re.compile(r"^```\{?([\w-]*)\}?[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"^(?: {4,}|)(?:\$ |\.venv/bin/)?(cxr-node .+)$")
_SUFFIXES = ("csr", "db", "key", "md", "pem", "py", "toml")
_INLINE = re.compile(r"`(cxr-node [^`]+)`")


@cache
def text(path: Path) -> str:
    """Return a page."""
    return path.read_text(encoding="utf-8")


def slug(heading: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def calls(page: str) -> Iterator[str]:
    """Yield each call of the program in a page, without comments."""
    for line in page.splitlines():
        if line.startswith(("    ", "cxr-node ")) and (match := _LINE.match(line)) and not line.endswith("."):
            yield match[1].partition(" #")[0].partition(" && ")[0].partition(" | ")[0].partition(" <")[0]
    for match in _INLINE.finditer(_FENCE.sub("", page)):
        yield match[1].replace("\n", " ")


def fault(call: str) -> str:
    """Return what a call has that the program has not; empty if all is there."""
    try:
        words = shlex.split(call)[1:]
    except ValueError:
        return "is not a line of a shell"
    command: Any = typer.main.get_command(app)
    while words and not words[0].startswith("-") and hasattr(command, "get_command"):
        command = command.get_command(None, words[0])
        if command is None:
            return f"has no command {words[0]}" if words[0].islower() else ""
        words = words[1:]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    used = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    unknown = [word for word in used if word not in options | {"--help", "--install-completion", "--show-completion"}]
    return f"has no option {', '.join(unknown)}" if unknown else ""


@pytest.mark.slow
def test_every_call_in_the_pages_has_its_command_and_options() -> None:
    checked = [(path, call) for path in PAGES for call in calls(text(path))]
    faults = [f"{path.relative_to(ROOT)}: {call}: {why}" for path, call in checked if (why := fault(call))]

    assert faults == []
    assert len(checked) > 100
    assert {words[1] for _, call in checked if len(words := call.split()) > 1} >= set(COMMANDS)


@pytest.mark.parametrize("planted", ["cxr-node jobs lst", "cxr-node send A@b:1 f --fast", "cxr-node no-such"])
def test_a_call_that_does_not_exist_is_noticed(planted: str) -> None:
    assert fault(planted)


def test_every_setting_that_the_pages_name_exists() -> None:
    named = {match for path in PAGES for match in re.findall(r"`([a-z]+)\.([a-z_0-9]+)(?: = [^`]*)?`", text(path))}
    sections = {name: field.annotation for name, field in Settings.model_fields.items()}
    known = [(section, key) for section, key in named if section in sections and key not in _SUFFIXES]
    missing = [f"{section}.{key}" for section, key in known if key not in sections[section].model_fields]  # type: ignore[union-attr]

    assert missing == []
    assert len(known) > 30


def test_every_metric_and_view_that_the_pages_name_exists() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cxr_node" / "web").glob("*metrics.py"))
    views = set(VIEWS)
    dashboards = [*(ROOT / "deploy").glob("prometheus/*.yml"), *(ROOT / "deploy").glob("grafana/*.json")]
    for path in [*PAGES, *dashboards]:
        for name in re.findall(r"(?<![\w/.])(cxr_node_[a-z_]+)(?![\w/.])", text(path)):
            assert name.removesuffix("_total") in source or name.endswith("_"), f"{path.name}: {name}"
        for name in re.findall(r"\bv1_[a-z_]+[a-z]\b", text(path)):
            assert name in views, f"{path.name}: {name}"


def test_every_heading_that_a_link_names_exists() -> None:
    for path in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", text(path)):
            page = path.parent / target if target else path
            if "://" not in target and page.suffix == ".md":
                headings = {slug(line.lstrip("# ")) for line in text(page).splitlines() if line.startswith("#")}
                assert anchor in headings, f"{path.name}: {target}#{anchor}"


def test_every_block_of_code_is_valid() -> None:
    """Shell is checked where it runs: tutorial, TLS and ONNX pages."""
    counts = dict.fromkeys(("json", "python", "toml", "yaml"), 0)
    for path in PAGES:
        for language, block in _FENCE.findall(text(path)):
            match language:
                case "json":
                    json.loads(block)
                case "python" | "code-cell":
                    ast.parse(block)
                case "toml":
                    tomllib.loads(block)
                case "yaml":
                    yaml.safe_load(block)
                case _:
                    continue
            counts["python" if language == "code-cell" else language] += 1
    assert all(counts.values()), counts


def test_every_page_is_in_the_tree_of_the_site() -> None:
    """A page that no table of contents names is found by nobody."""
    trees = [path for path in ROOT.glob("docs/**/*.md") if "```{toctree}" in text(path)]
    listed: set[Path] = set()
    for tree in trees:
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", text(tree), re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                if line and not line.startswith(":"):
                    listed |= set(tree.parent.glob(f"{line}.md"))
    pages = set(ROOT.glob("docs/**/*.md")) - {ROOT / "docs" / "index.md"}

    assert pages - listed == set(), "add them to a toctree of docs/index.md"
    assert all(first != second for first, second in pairwise(sorted(listed)))
