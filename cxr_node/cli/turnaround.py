"""`cxr-node turnaround`: seconds from film to report, by day, sender or equipment."""

from dataclasses import asdict, fields

from rich.table import Table

from cxr_node.cli.database import STATEMENT_TIMEOUT_S, reading_database
from cxr_node.cli.group_arguments import NO_FILMS, ByOption
from cxr_node.cli.rows import CsvOption, print_rows
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, TimeoutOption, UntilOption, parse_time
from cxr_node.queries.grouping import GroupBy
from cxr_node.queries.quantiles import SHARES
from cxr_node.queries.turnaround import Turnaround, by_group, film_outcomes

_COLUMNS = tuple(column.name for column in fields(Turnaround))


def turnaround(
    since: SinceOption = "7d",
    until: UntilOption = "",
    by: ByOption = GroupBy.DAY,
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    at_most_s: TimeoutOption = STATEMENT_TIMEOUT_S,
) -> None:
    """Show seconds from film to report, by day (UTC), sender or equipment; of the last 7 days by default."""
    with reporting_errors(), reading_database(path, at_most_s=at_most_s) as connection:
        groups = by_group(film_outcomes(connection, by, since=parse_time(since), until=parse_time(until)))
    if as_json or as_csv:
        print_rows([asdict(group) for group in groups], _COLUMNS, none="", as_json=as_json, as_csv=as_csv)
        return
    table = Table(by.value, "films", "reported", *SHARES, "longest")
    for group in groups:
        times = (group.p50_s, group.p90_s, group.p95_s, group.p99_s, group.longest_s)
        seconds = ("" if value is None else f"{value:.1f} s" for value in times)
        table.add_row(group.group, str(group.films), str(group.reported), *seconds)
    out.print(table if groups else NO_FILMS)
