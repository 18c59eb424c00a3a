"""`cxr-node turnaround`: seconds from film to report, by day or by sender."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from cxr_node.cli.database import STATEMENT_TIMEOUT_S, reading_database
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, TimeoutOption, UntilOption, parse_time
from cxr_node.queries.turnaround import GroupBy, by_group, film_outcomes


def turnaround(
    since: SinceOption = "7d",
    until: UntilOption = "",
    by: Annotated[GroupBy, typer.Option(help="Group by day (UTC) or by sender.")] = GroupBy.DAY,
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    at_most_s: TimeoutOption = STATEMENT_TIMEOUT_S,
) -> None:
    """Show seconds from film to report, by day (UTC) or by sender; of the last 7 days by default."""
    with reporting_errors(), reading_database(path, at_most_s=at_most_s) as connection:
        groups = by_group(film_outcomes(connection, since=parse_time(since), until=parse_time(until)), by)
    if as_json:
        typer.echo(json.dumps([asdict(group) for group in groups], indent=2))
        return
    table = Table(by.value, "films", "reported", "half within", "90 % within", "99 % within", "longest")
    for group in groups:
        quantiles = (group.p50_s, group.p90_s, group.p99_s, group.longest_s)
        seconds = ("" if value is None else f"{value:.1f} s" for value in quantiles)
        table.add_row(group.group, str(group.films), str(group.reported), *seconds)
    out.print(table if groups else "no film was received in this time")
