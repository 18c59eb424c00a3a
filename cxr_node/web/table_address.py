"""Addresses of tables: a selection as a query string, from the parameters of a request or of the page's form."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Depends, Query

from cxr_node.queries.tables.selection import SelectionText
from cxr_node.queries.view_rows import Comparison

_MOST_CONDITIONS = 20
_NO_CONTROL = r"^[^\x00-\x1f]*$"
Word = Annotated[str, Query(max_length=64, pattern=_NO_CONTROL)]
Conditions = Annotated[
    list[Annotated[str, Query(max_length=300, pattern=_NO_CONTROL)]] | None,
    Query(
        max_length=_MOST_CONDITIONS,
        description="Conditions, all of which hold: COLUMN=VALUE, or with !=, <, <=, >, >=; ~ for LIKE with %; "
        "value none for an empty column.",
    ),
]
Columns = Annotated[
    list[Annotated[str, Query(max_length=2000, pattern=_NO_CONTROL)]] | None,
    Query(max_length=64, description="Only these columns, separated by commas."),
]
_CONTAINS = "contains"
COMPARISONS = {
    "=": "is",
    "!=": "is not",
    ">": "above",
    ">=": "at least",
    "<": "below",
    "<=": "at most",
    _CONTAINS: "contains",
}
"""Comparisons of the form, in words."""


def _of_api(
    where: Conditions = None,
    since: Annotated[Word, Query(description="From this time on: 2026-01-31, today, 24h, 7d (default) or all.")] = "",
    until: Annotated[Word, Query(description="Before this time.")] = "",
    order: Annotated[Word, Query(description="Column to sort by; with a minus before it, descending.")] = "",
    columns: Columns = None,
) -> SelectionText:
    return SelectionText(
        where=_values(where), since=since, until=until, order=order, columns=_values(_split(columns or ()))
    )


def _of_form(
    *,
    where: Conditions = None,
    since: Word = "",
    since_time: Word = "",
    until: Word = "",
    order: Word = "",
    columns: Columns = None,
    column: Word = "",
    comparison: Word = "",
    value: Annotated[str, Query(max_length=200, pattern=_NO_CONTROL)] = "",
) -> SelectionText:
    added = (_condition(column, comparison, value),) if column and value and comparison in COMPARISONS else ()
    text = _of_api(where, since_time or since, until, order, columns)
    return replace(text, where=(*text.where, *added))


ApiSelection = Annotated[SelectionText, Depends(_of_api)]
"""Selection of a request of the API."""
FormSelection = Annotated[SelectionText, Depends(_of_form)]
"""Selection of a request of a page, whose form adds one condition."""


def parameters(text: SelectionText) -> list[tuple[str, str]]:
    """Return a selection as parameters, without the empty ones."""
    columns = ",".join(text.columns)
    named = {"since": text.since, "until": text.until, "order": text.order, "columns": columns}
    conditions = [("where", condition) for condition in text.where]
    return [*conditions, *((name, value) for name, value in named.items() if value)]


def address(path: str, text: SelectionText, **more: str) -> str:
    """Return the address of a selection at a path, with further parameters."""
    query = urlencode([*parameters(text), *more.items()], quote_via=quote, safe=",:")
    return f"{path}?{query}" if query else path


def of_row(name: str, column: str, value: object) -> str:
    """Return the address of the rows of a table with a value, of whatever time."""
    return address(f"/{name}", SelectionText(where=(f"{column}={value}",), since="all"))


def _condition(column: str, comparison: str, value: str) -> str:
    if comparison == _CONTAINS:
        return f"{column}{Comparison.LIKE}{value if '%' in value else f'%{value}%'}"
    return f"{column}{comparison}{value}"


def _values(values: Sequence[str] | None) -> tuple[str, ...]:
    """Return the values that are not empty, each once."""
    return tuple(dict.fromkeys(value for value in values or () if value))


def _split(columns: Sequence[str]) -> list[str]:
    return [name.strip() for text in columns for name in text.split(",")]
