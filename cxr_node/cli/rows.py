"""Rows of commands that list: as a table for people, or whole as CSV or JSON."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from cxr_node.cli.terminal import CommandError, out
from cxr_node.domain.clock import local_time
from cxr_node.ops.formatting import csv_value, plain_value

CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV.")]

Rows = Sequence[Mapping[str, Any]]


def print_rows(
    rows: Rows, columns: Sequence[str], *, shown: Sequence[str] = (), none: str, as_json: bool, as_csv: bool
) -> None:
    """Print rows: with all `columns` as JSON or CSV, else as a table of the columns `shown`, or the sentence `none`.

    Times are ISO 8601 in UTC in JSON and CSV, and local with their offset in the table.

    Raises
    ------
    CommandError
        If both JSON and CSV are wanted.
    """
    if as_json and as_csv:
        raise CommandError("--json and --csv exclude each other")
    if as_json:
        typer.echo(json.dumps([{name: plain_value(row[name]) for name in columns} for row in rows], indent=2))
    elif as_csv:
        typer.echo(csv_text(rows, columns), nl=False)
    elif rows:
        table = Table(*(shown or columns))
        for row in rows:
            table.add_row(*(cell(row[name]) for name in shown or columns))
        out.print(table, markup=False)
    else:
        out.print(none, markup=False)


def csv_text(rows: Rows, columns: Sequence[str]) -> str:
    """Return rows as CSV (RFC 4180, lines end with a line feed); no text of a film becomes a formula."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: csv_value(row[name]) for name in columns} for row in rows)
    return text.getvalue()


def cell(value: Any) -> str:
    """Return a value as people read it in a table."""
    match value:
        case None:
            return ""
        case datetime():
            return local_time(value)
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case _:
            return str(value)
