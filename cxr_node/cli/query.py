"""`cxr-node query`: rows of the database views, filtered, as a table, CSV or JSON."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cxr_node import config
from cxr_node.cli.database import STATEMENT_TIMEOUT_S, reading_database
from cxr_node.cli.rows import CsvOption, print_rows
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, TimeoutOption, parse_time
from cxr_node.db.database import DatabaseUnavailable
from cxr_node.domain.clock import utc_now
from cxr_node.ops import operator_log
from cxr_node.queries import view_rows
from cxr_node.queries.condition_text import InvalidCondition, kind_of, parse_condition
from cxr_node.queries.view_rows import Comparison, Condition
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queries.views.view import ColumnType, View
from cxr_node.wiring import audit, identifier_audit

_ALL = "all"


def query(
    name: Annotated[str, typer.Argument(metavar="[VIEW]", help="View; without it, they are listed.")] = "",
    path: ConfigOption = DEFAULT_CONFIG,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="COLUMN=VALUE, or with !=, <, <=, >, >=; ~ for LIKE with %; value none for NULL. Repeatable."
        ),
    ] = None,
    since: SinceOption = "",
    until: Annotated[str, typer.Option(help="Before this time.")] = "",
    columns: Annotated[str, typer.Option(help="Only these columns, separated by commas; all for every one.")] = "",
    order: Annotated[str, typer.Option(help="Column to sort by; with a minus before it, descending.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many rows, the newest first.")] = 100,
    at_most_s: TimeoutOption = STATEMENT_TIMEOUT_S,
    show_columns: Annotated[bool, typer.Option("--columns-of", help="Describe the view's columns.")] = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Query a view of the database, which is opened read-only.

    The table has the main columns of the view; JSON and CSV have all, unless --columns names some.
    """
    with reporting_errors():
        if not name:
            rows = [{"view": view.name, "a row is": view.row} for view in VIEWS.values()]
            print_rows(rows, ("view", "a row is"), none="", as_json=as_json, as_csv=as_csv)
            return
        view = _view(name)
        if show_columns:
            _print_columns(view)
            return
        names = [part.strip() for part in columns.split(",")] if columns not in ("", _ALL) else list(view.columns)
        for name_or_order in (*names, *filter(None, [order.removeprefix("-")])):
            _require_column(view, name_or_order)
        conditions = [_condition(view, text) for text in where or ()]
        # Times in arguments are local; days in the views are UTC.
        select = partial(view_rows.rows, columns=names, since=parse_time(since), until=parse_time(until))
        if view.holds_identifiers:
            _record_search(path, conditions)
        with _narrowing_suggested(at_most_s), reading_database(path, at_most_s=at_most_s) as connection:
            rows = select(connection, view, conditions=conditions, order=order, limit=limit)
        shown = names if columns else view.brief
        print_rows(rows, names, shown=shown, none="no rows", as_json=as_json, as_csv=as_csv)


def _record_search(path: Path, conditions: Sequence[Condition]) -> None:
    """Record the search in the audit trail, before identifiers are shown."""
    matching = {
        condition.column: str(condition.value)
        for condition in conditions
        if condition.column in identifier_audit.ELEMENTS and condition.comparison is Comparison.EQUAL
    }
    with audit.of_command(config.load(path), utc_now) as trail:
        identifier_audit.record_search(trail, matching, by=operator_log.operator_name())


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


def _condition(view: View, text: str) -> Condition:
    try:
        return parse_condition(text, _kinds(view), owner=view.name, now=utc_now())
    except InvalidCondition as error:
        raise CommandError(f"--where {error}") from None


def _require_column(view: View, column: str) -> None:
    try:
        kind_of(column, _kinds(view), owner=view.name)
    except InvalidCondition as error:
        raise CommandError(str(error)) from None


def _kinds(view: View) -> dict[str, ColumnType]:
    return {name: kind for name, (kind, _) in view.columns.items()}


def _print_columns(view: View) -> None:
    out.print(f"{view.name}: each row is {view.row}", markup=False)
    table = Table("column", "type", "meaning")
    for name, (kind, meaning) in view.columns.items():
        table.add_row(name, kind, meaning)
    out.print(table)
