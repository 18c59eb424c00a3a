"""What the page of a table shows: headings that sort, filters, choices, presets, rows and links."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cxr_node.queries.tables.paging import Page
from cxr_node.queries.tables.selection import Selection, SelectionText, text_of
from cxr_node.queries.tables.table import DEFAULT_SINCE, TableColumn
from cxr_node.queries.view_rows import Comparison, Condition
from cxr_node.queries.views.view import ColumnType
from cxr_node.web.table_address import COMPARISONS, address, parameters
from cxr_node.web.table_cells import Cell, cell, choice_words, local

_PERIODS = (("today", "Today"), ("24h", "24 h"), ("7d", "7 days"), ("31d", "31 days"), ("all", "all"))
_LIKE = "is like"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link with its words, and whether it is to what is shown."""

    words: str
    address: str
    is_current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Heading of a column: a link that sorts by it. `sorted_as` is the value of aria-sort; empty for none."""

    column: TableColumn
    address: str
    sorted_as: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Values of a column to choose from, each as condition and words, and the condition that is chosen."""

    column: TableColumn
    options: tuple[tuple[str, str], ...]
    chosen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """A page of a table.

    Parameters
    ----------
    further_conditions
        Conditions that no choice of the form has.
    since_time, until_time
        Bounds of the period as local times for the form; empty for a relative one.
    """

    selection: Selection
    text: SelectionText
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]
    keys: tuple[object, ...]
    presets: tuple[Link, ...]
    periods: tuple[Link, ...]
    filters: tuple[Link, ...]
    choices: tuple[Choice, ...]
    further_conditions: tuple[str, ...]
    columns: tuple[TableColumn, ...]
    since_time: str
    until_time: str
    parameters: tuple[tuple[str, str], ...]
    csv: str
    json: str
    link: str
    all_time: str
    previous: str
    following: str


def table_view(
    selection: Selection,
    text: SelectionText,
    page: Page,
    *,
    offered: Mapping[str, Sequence[str]],
    sees_films: bool,
) -> TableView:
    """Return what the page of a selection shows; `offered` has the values of its columns to choose from."""
    table = selection.table
    path, text = f"/{table.name}", replace(text, since=text.since or DEFAULT_SINCE)
    columns = tuple(table.visible_columns(sees_films=sees_films).values())
    choices = tuple(_choices(columns, offered, text))
    options = {condition for choice in choices for condition, _ in choice.options}
    return TableView(
        selection=selection,
        text=text,
        headings=tuple(_heading(selection, text, column) for column in selection.columns),
        rows=tuple(
            tuple(cell(table, column, row[column.name], sees_films=sees_films) for column in selection.columns)
            for row in page.rows
        ),
        keys=tuple(row[table.key] for row in page.rows),
        presets=tuple(_presets(selection, text)),
        periods=tuple(_periods(path, text)),
        filters=tuple(_filters(selection, text, path)),
        choices=choices,
        further_conditions=tuple(condition for condition in text.where if condition not in options),
        columns=columns,
        since_time=_time_of_form(selection.period.since, text.since),
        until_time=_time_of_form(selection.period.until, text.until),
        parameters=tuple(parameters(text)),
        csv=address(f"/api/v1/tables/{table.name}.csv", text),
        json=address(f"/api/v1/tables/{table.name}.json", text),
        link=address(path, text),
        all_time="" if text.since == "all" else address(path, replace(text, since="all")),
        previous=address(path, text, before=page.before) if page.before else "",
        following=address(path, text, after=page.after) if page.after else "",
    )


def _heading(selection: Selection, text: SelectionText, column: TableColumn) -> Heading:
    is_sorted = column.name == selection.order.name
    starts_descending = column.is_number or column.kind is ColumnType.TIME
    descending = not selection.descending if is_sorted else starts_descending
    order = f"-{column.name}" if descending else column.name
    sorted_as = "" if not is_sorted else "descending" if selection.descending else "ascending"
    path = f"/{selection.table.name}"
    return Heading(column=column, address=address(path, replace(text, order=order)), sorted_as=sorted_as)


def _presets(selection: Selection, text: SelectionText) -> Iterator[Link]:
    for preset in selection.table.presets:
        chosen = text_of(preset)
        is_current = chosen == replace(text, columns=())
        yield Link(
            words=preset.label,
            address=address(f"/{selection.table.name}", replace(chosen, columns=text.columns)),
            is_current=is_current,
        )


def _periods(path: str, text: SelectionText) -> Iterator[Link]:
    for since, words in _PERIODS:
        is_current = text.since == since and not text.until
        yield Link(words=words, address=address(path, replace(text, since=since, until="")), is_current=is_current)


def _filters(selection: Selection, text: SelectionText, path: str) -> Iterator[Link]:
    """Yield a link for each condition that removes it."""
    for condition_text, condition in zip(text.where, selection.conditions, strict=True):
        rest = tuple(other for other in text.where if other != condition_text)
        words = _condition_words(selection.table.columns[condition.column], condition)
        yield Link(words=words, address=address(path, replace(text, where=rest)))


def _condition_words(column: TableColumn, condition: Condition) -> str:
    comparison = COMPARISONS.get(condition.comparison, _LIKE)
    value: Any = condition.value
    if value is None:
        return f"{column.label} is {'' if condition.comparison is Comparison.EQUAL else 'not '}empty"
    match column.kind:
        case ColumnType.TIME:
            value = local(value)
        case ColumnType.YES_NO:
            value = "yes" if value else "no"
        case ColumnType.TEXT:
            value = choice_words(column, value)
        case ColumnType.NUMBER:
            value = f"{value:g}"
    return f"{column.label} {comparison} {value}"


def _choices(
    columns: Sequence[TableColumn], offered: Mapping[str, Sequence[str]], text: SelectionText
) -> Iterator[Choice]:
    for column in columns:
        values = column.choices or offered.get(column.name, ())
        if column.kind is ColumnType.YES_NO:
            values = ("yes", "no")
        if values:
            options = tuple((f"{column.name}={value}", choice_words(column, value)) for value in values)
            chosen = next((condition for condition, _ in options if condition in text.where), "")
            yield Choice(column=column, options=options, chosen=chosen)


def _time_of_form(at: Any, text: str) -> str:
    """Return a bound that was given as a time, for a field of the form; empty for a relative one."""
    return f"{at.astimezone():%Y-%m-%dT%H:%M}" if at is not None and text[:1].isdigit() and "-" in text else ""
