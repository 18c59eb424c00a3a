"""`cxr-node scores`: scores of each finding, by day, sender or equipment."""

import json
from dataclasses import asdict

import typer
from rich.table import Table

from cxr_node.cli.database import STATEMENT_TIMEOUT_S, reading_database
from cxr_node.cli.group_arguments import ByOption
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, TimeoutOption, UntilOption, parse_time
from cxr_node.queries.grouping import GroupBy
from cxr_node.queries.quantiles import SHARES
from cxr_node.queries.scores import finding_scores


def scores(
    since: SinceOption = "7d",
    until: UntilOption = "",
    by: ByOption = GroupBy.SENDER,
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    at_most_s: TimeoutOption = STATEMENT_TIMEOUT_S,
) -> None:
    """Show how often each finding is present, and its scores from 0 to 100; of the last 7 days by default."""
    with reporting_errors(), reading_database(path, at_most_s=at_most_s) as connection:
        rows = finding_scores(connection, by, since=parse_time(since), until=parse_time(until))
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = Table("finding", by.value, "films", "present", "share", *SHARES)
    for row in rows:
        percent = f"{row.present / row.films:.0%}"
        quantiles = ("" if value is None else f"{100 * value:.1f}" for value in (row.p50, row.p90, row.p95, row.p99))
        table.add_row(row.code_meaning, row.group, str(row.films), str(row.present), percent, *quantiles)
    out.print(table if rows else "no film with findings was received in this time")
