"""Marks of tests that a run leaves out, and what has to run in their place. Decision 0242."""

from collections.abc import Mapping, Sequence
from itertools import product

import pytest
from _pytest.mark import ParameterSet

POSTGRESQL = "postgresql"
_LEFT_OUT = ("ci", "long")


def each_once(test: str, *axes: Mapping[str, object]) -> list[ParameterSet]:
    """Return every combination of values by their names; all but as many as show each value once are `ci`.

    `test` is the name of the test that they are the variants of.
    """
    columns = [list(axis) for axis in axes]
    longest = max(len(column) for column in columns)
    shown = {tuple(column[row % len(column)] for column in columns) for row in range(longest)}
    in_ci = pytest.mark.ci(short=test)
    return [
        pytest.param(
            *(axis[name] for axis, name in zip(axes, names, strict=True)),
            id="-".join(names),
            marks=() if names in shown else in_ci,
        )
        for names in product(*columns)
    ]


def mark_postgresql(items: Sequence[pytest.Item]) -> None:
    """Mark the PostgreSQL variants of tests that are `long_on_postgresql` or `ci_on_postgresql`."""
    for item in items:
        if not isinstance(item, pytest.Function) or not _is_on_postgresql(item):
            continue
        if item.get_closest_marker("long_on_postgresql"):
            item.add_marker(pytest.mark.long)
        if item.get_closest_marker("ci_on_postgresql") and not item.get_closest_marker("ci"):
            name = item.name.removeprefix(item.originalname).replace(POSTGRESQL, "sqlite")
            item.add_marker(pytest.mark.ci(short=item.originalname + name))


def ci_faults(items: Sequence[pytest.Item]) -> list[str]:
    """Return a line for each `ci` test that names no test that `make test` runs.

    The name is one of the same file, or PATH::NAME, both with or without the variant in brackets. Where that file was
    not collected, as in a run of one file, it is enough that it exists.
    """
    named: dict[str, list[pytest.Item]] = {}
    for item in items:
        for name in {item.nodeid, item.nodeid.partition("[")[0]}:
            named.setdefault(name, []).append(item)
    files = {item.nodeid.partition("::")[0] for item in items}
    return [fault for item in items for fault in _faults_of(item, named, files)]


def _faults_of(item: pytest.Item, named: dict[str, list[pytest.Item]], files: set[str]) -> list[str]:
    marks = [mark for mark in item.iter_markers("ci") if mark.args or set(mark.kwargs) != {"short"}]
    if marks:
        return [f"{item.nodeid}: `ci` takes short=NAME and nothing else"]
    faults = []
    for mark in item.iter_markers("ci"):
        short = str(mark.kwargs["short"])
        name = short if "::" in short.partition("[")[0] else f"{item.nodeid.partition('::')[0]}::{short}"
        file = name.partition("::")[0]
        if file not in files and (item.config.rootpath / file).exists():
            continue
        if not any(_runs_in_make_test(other) for other in named.get(name, [])):
            faults.append(f"{item.nodeid}: `make test` runs no {name}")
    return faults


def _runs_in_make_test(item: pytest.Item) -> bool:
    return not any(item.get_closest_marker(name) for name in _LEFT_OUT)


def _is_on_postgresql(item: pytest.Function) -> bool:
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return any(isinstance(value, str) and value == POSTGRESQL for value in values)
