"""Registry of views by name, in the order of docs/reference/database.md. A view's file is read at its first use.

A view is the TOML file of its name: the meaning of a row, its columns, and its SQL. Migrations create the views from
frozen copies of their SQL. New columns are added at the end; none is changed or removed: a view with other columns is
a `v2_` view beside it. Tests compare SQL, columns and document.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from cxr_node.queries.views.view import ColumnType, View

_NAMES = (
    "v1_films",
    "v1_studies",
    "v1_film_identifiers",
    "v1_jobs",
    "v1_findings",
    "v1_measurements",
    "v1_comparisons",
    "v1_fetched_comparisons",
    "v1_points",
    "v1_cascade",
    "v1_second_opinions",
    "v1_deliveries",
    "v1_unreachable_destinations",
    "v1_turnaround",
    "v1_daily_statistics",
    "v1_drift",
    "v1_constancy",
    "v1_shadow",
    "v1_worklist_steps",
    "v1_exports",
    "v1_periodic_jobs",
    "v1_rejections",
)


def parse_view(name: str, document: Mapping[str, Any], shared: Mapping[str, Any]) -> View:
    """Return the view of a TOML document; an entry of its columns is name, type and meaning, or a name in `shared`.

    Raises
    ------
    ValueError
        If a column is not in `shared`, a name is absent or unknown, or a type is none of `ColumnType`.
    """
    try:
        columns = {
            column: (ColumnType(kind), meaning)
            for entry in document["columns"]
            for column, kind, meaning in ([entry] if isinstance(entry, list) else _shared(entry, shared))
        }
        return View(name=name, **{**document, "columns": columns})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name}.toml: {error}") from error


def _shared(name: str, shared: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield a shared column, or those of a group."""
    if name in shared["groups"]:
        for member in shared["groups"][name]:
            yield from _shared(member, shared)
    else:
        kind, meaning = shared["columns"][name]
        yield name, kind, meaning


def _load(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


@cache
def _view(name: str) -> View:
    return parse_view(name, _load(name), _load_shared())


@cache
def _load_shared() -> dict[str, Any]:
    return _load("shared")


class _Views(Mapping[str, View]):
    """The views by name; most commands use one or two of them."""

    def __getitem__(self, name: str) -> View:
        if name not in _NAMES:
            raise KeyError(name)
        return _view(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


VIEWS: Mapping[str, View] = _Views()
