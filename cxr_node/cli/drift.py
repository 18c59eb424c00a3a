"""`cxr-node drift`: comparison of readings with their reference, by device."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cxr_node import config
from cxr_node.cli.database import reading_database
from cxr_node.cli.rows import CsvOption, csv_text
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.db.database import Connection
from cxr_node.ops.formatting import statistic_words
from cxr_node.queries import drift as drifts
from cxr_node.queries import view_rows
from cxr_node.queries.view_rows import Comparison, Condition, equal
from cxr_node.queries.views.registry import VIEWS
from cxr_node.wiring.drift import judge_days
from cxr_node.wiring.process import Process

_HISTORY = 1000


def drift(
    path: ConfigOption = DEFAULT_CONFIG,
    device: Annotated[str, typer.Option(help="Only this calling AE title.")] = "",
    only: Annotated[bool, typer.Option("--only-drift", help="Only rows that drifted.")] = False,
    days: Annotated[int, typer.Option(min=1, help="Number of evaluated days, the newest.")] = 1,
    now: Annotated[bool, typer.Option("--now", help="Evaluate outstanding days first.")] = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Compare each device's scores, rates, films not analysed and turnaround with their reference.

    Exit status 0 also with drift. docs/explanation/monitoring.md explains the numbers.
    """
    with reporting_errors():
        if now:
            _evaluate(path)
        with reading_database(path) as connection:
            evaluated = drifts.evaluated_days(connection, limit=days)
            rows = _rows(connection, evaluated, device=device, only=only)
    if as_json:
        typer.echo(json.dumps({"days": evaluated, "statistics": rows}, indent=2))
    elif as_csv:
        typer.echo(csv_text(rows, [*VIEWS["v1_drift"].columns]), nl=False)
    else:
        _print(rows, evaluated)


def _evaluate(path: Path) -> None:
    with Process.open(config.load(path)) as process:
        judge_days(process)


def _rows(connection: Connection, evaluated: list[str], *, device: str, only: bool) -> list[dict[str, Any]]:
    if not evaluated:
        return []
    conditions = [Condition(column="day", comparison=Comparison.LEAST, value=evaluated[-1])]
    if device:
        conditions.append(equal("calling_ae_title", device))
    if only:
        conditions.append(equal("is_drift", value=True))
    rows = view_rows.rows(connection, VIEWS["v1_drift"], conditions=conditions, order="adjusted_p", limit=_HISTORY)
    return [{**row, "evaluated_at": row["evaluated_at"].isoformat()} for row in rows]


def _print(rows: list[dict[str, Any]], evaluated: list[str]) -> None:
    if not evaluated:
        out.print(
            "no day has been evaluated yet: the node evaluates a day (UTC) an hour after its end; --now does so now"
        )
        return
    drifted = sum(row["is_drift"] for row in rows)
    out.print(f"{' to '.join(dict.fromkeys((evaluated[-1], evaluated[0])))}: {drifted} drifted")
    if not rows:
        out.print("nothing to compare: references are incomplete, or devices sent too few films")
        return
    table = Table("day", "device", "statistic", "reference", "now", "films", "effect", "p (adjusted)", "drift")
    for row in rows:
        table.add_row(
            row["day"],
            row["calling_ae_title"],
            f"{row['kind']} {row['key']}".rstrip(),
            statistic_words(row["kind"], row["reference_value"]),
            statistic_words(row["kind"], row["value"]),
            f"{row['films']} / {row['reference_films']}",
            f"{row['effect']:.3f}",
            f"{row['p_value']:.2g} ({row['adjusted_p']:.2g})",
            "DRIFT" if row["is_drift"] else "",
        )
    out.print(table)
