"""`cxr-node query`: rows of the database views, filtered, as a table, CSV or JSON."""

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table

from cxr_node.cli.database import STATEMENT_TIMEOUT_S, reading_database
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, out, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, TimeoutOption, parse_time
from cxr_node.db.database import DatabaseUnavailable
from cxr_node.queries import view_rows
from cxr_node.queries.view_rows import Comparison, Condition
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queries.views.view import ColumnType, View


class Format(StrEnum):
    """Output format of rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


_CONDITION = re.compile(r"(?P<column>\w+)(?P<comparison>!=|>=|<=|=|>|<|~)(?P<value>.*)", re.DOTALL)
_NULL = "none"


def query(
    name: Annotated[str, typer.Argument(metavar="VIEW", help=f"One of {', '.join(VIEWS)}.")],
    path: ConfigOption = DEFAULT_CONFIG,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="COLUMN=VALUE, or with !=, <, <=, >, >=; ~ for LIKE with %; value none for NULL. Repeatable."
        ),
    ] = None,
    since: SinceOption = "",
    until: Annotated[str, typer.Option(help="Before this time.")] = "",
    columns: Annotated[str, typer.Option(help="Only these columns, separated by commas.")] = "",
    order: Annotated[str, typer.Option(help="Column to sort by; with a minus before it, descending.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many rows, the newest first.")] = 100,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.TABLE,
    at_most_s: TimeoutOption = STATEMENT_TIMEOUT_S,
    show_columns: Annotated[bool, typer.Option("--columns-of", help="Describe the view's columns.")] = False,
) -> None:
    """Query a view of the database, which is opened read-only."""
    with reporting_errors():
        view = _view(name)
        if show_columns:
            _print_columns(view)
            return
        names = [part.strip() for part in columns.split(",")] if columns else list(view.columns)
        for name_or_order in (*names, *filter(None, [order.removeprefix("-")])):
            _kind(view, name_or_order)
        conditions = [_condition(view, text) for text in where or ()]
        # Times in arguments are local; days in the views are UTC.
        select = partial(view_rows.rows, columns=names, since=parse_time(since), until=parse_time(until))
        with _narrowing_suggested(at_most_s), reading_database(path, at_most_s=at_most_s) as connection:
            rows = select(connection, view, conditions=conditions, order=order, limit=limit)
        typer.echo(_text(rows, names, form), nl=False) if form is not Format.TABLE else _print(rows, names)


@contextmanager
def _narrowing_suggested(at_most_s: float) -> Iterator[None]:
    try:
        yield
    except DatabaseUnavailable as error:
        next_step = "narrow the query with --since and --where, or raise --at-most"
        raise CommandError(f"no result within {at_most_s:g} s ({error}): {next_step}") from None


def _view(name: str) -> View:
    try:
        return VIEWS[name]
    except KeyError:
        raise CommandError(f"there is no view {name!r}; expected one of {', '.join(VIEWS)}") from None


def _kind(view: View, column: str) -> ColumnType:
    try:
        return view.columns[column][0]
    except KeyError:
        raise CommandError(f"{view.name} has no column {column!r}; it has {', '.join(view.columns)}") from None


def _condition(view: View, text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise CommandError(f"--where {text!r}: expected COLUMN=VALUE, such as state=failed")
    kind = _kind(view, match["column"])
    return Condition(
        column=match["column"], comparison=Comparison(match["comparison"]), value=_value(kind, match["value"])
    )


def _value(kind: ColumnType, text: str) -> object:
    """Return an argument as a value of a column's kind."""
    if text == _NULL:
        return None
    try:
        match kind:
            case ColumnType.WHOLE:
                return int(text)
            case ColumnType.NUMBER:
                return float(text)
            case ColumnType.YES_NO:
                return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}[text.lower()]
            case ColumnType.TIME:
                return parse_time(text)
            case ColumnType.TEXT:
                return text
    except (ValueError, KeyError):
        raise CommandError(f"{text!r} is not valid; expected a {kind}") from None


def _text(rows: list[dict[str, Any]], names: list[str], form: Format) -> str:
    plain = [{name: _plain(row[name]) for name in names} for row in rows]
    if form is Format.JSON:
        return json.dumps(plain, indent=2) + "\n"
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain)
    return text.getvalue()


def _print(rows: list[dict[str, Any]], names: list[str]) -> None:
    table = Table(*names)
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in names))
    out.print(table if rows else "no rows")


def _print_columns(view: View) -> None:
    out.print(f"{view.name}: each row is {view.row}", markup=False)
    table = Table("column", "type", "meaning")
    for name, (kind, meaning) in view.columns.items():
        table.add_row(name, kind, meaning)
    out.print(table)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case _:
            return str(value)
