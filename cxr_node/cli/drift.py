"""`cxr-node drift`: whether films are read as they were in the reference, device by device."""

import csv
import io
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cxr_node import config
from cxr_node.cli.database import reading_database
from cxr_node.cli.query import Format
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, out, reporting_errors
from cxr_node.db.database import Connection
from cxr_node.queries import drift as drifts
from cxr_node.queries import view_rows
from cxr_node.queries.view_rows import Comparison, Condition
from cxr_node.queries.views.registry import VIEWS
from cxr_node.wiring.drift import judge_days
from cxr_node.wiring.process import Process

_HISTORY = 1000


def drift(
    path: ConfigOption = DEFAULT_CONFIG,
    device: Annotated[str, typer.Option(help="Only this calling AE title.")] = "",
    only: Annotated[bool, typer.Option("--only-drift", help="Only what has drifted.")] = False,
    days: Annotated[int, typer.Option(min=1, help="The newest days that were judged.")] = 1,
    now: Annotated[
        bool, typer.Option("--now", help="Count and judge first what the node has not come to yet.")
    ] = False,
    form: Annotated[Format, typer.Option("--format", help="How rows are written.")] = Format.TABLE,
) -> None:
    """Say of each device whether its films are read as in the reference: scores, rates, films not analysed, times.

    Exit status 0, whatever is found: docs/monitoring.md says what the numbers mean.
    """
    with reporting_errors():
        if now:
            _evaluate(path)
        with reading_database(path) as connection:
            judged = drifts.evaluated_days(connection, limit=days)
            found = _rows(connection, judged, device=device, only=only)
    match form:
        case Format.TABLE:
            _print(found, judged)
        case Format.JSON:
            typer.echo(json.dumps({"days": judged, "figures": found}, indent=2))
        case Format.CSV:
            text = io.StringIO()
            writer = csv.DictWriter(text, [*VIEWS["v1_drift"].columns], lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)
            typer.echo(text.getvalue(), nl=False)


def _evaluate(path: Path) -> None:
    with Process.open(config.load(path)) as process:
        judge_days(process)


def _rows(connection: Connection, judged: list[str], *, device: str, only: bool) -> list[dict[str, Any]]:
    if not judged:
        return []
    conditions = [Condition(column="day", comparison=Comparison.LEAST, value=judged[-1])]
    if device:
        conditions.append(Condition(column="calling_ae_title", comparison=Comparison.EQUAL, value=device))
    if only:
        conditions.append(Condition(column="is_drift", comparison=Comparison.EQUAL, value=True))
    found = view_rows.rows(connection, VIEWS["v1_drift"], conditions=conditions, order="adjusted_p", limit=_HISTORY)
    return [{**row, "evaluated_at": row["evaluated_at"].isoformat()} for row in found]


def _print(found: list[dict[str, Any]], judged: list[str]) -> None:
    if not judged:
        out.print("no day has been judged yet: the node does so an hour after a day (UTC) is over, or --now")
        return
    drifted = sum(row["is_drift"] for row in found)
    out.print(f"{' to '.join(dict.fromkeys((judged[-1], judged[0])))}: {drifted} drifted")
    if not found:
        out.print("nothing to compare: devices are still gathering their reference, or sent too few films")
        return
    table = Table("day", "device", "figure", "reference", "now", "films", "effect", "p (adjusted)", "drift")
    for row in found:
        table.add_row(
            row["day"],
            row["calling_ae_title"],
            f"{row['kind']} {row['key']}".rstrip(),
            f"{row['reference_value']:.4g}",
            f"{row['value']:.4g}",
            f"{row['films']} / {row['reference_films']}",
            f"{row['effect']:.3f}",
            f"{row['p_value']:.2g} ({row['adjusted_p']:.2g})",
            "DRIFT" if row["is_drift"] else "",
        )
    out.print(table)
