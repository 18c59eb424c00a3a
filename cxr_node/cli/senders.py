"""`cxr-node senders`: which senders' films are not analysed, and why; also by equipment."""

from dataclasses import asdict

from rich.table import Table

from cxr_node.cli.database import STATEMENT_TIMEOUT_S, reading_database
from cxr_node.cli.group_arguments import NO_FILMS, ByOption
from cxr_node.cli.rows import CsvOption, print_rows
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, TimeoutOption, UntilOption, parse_time
from cxr_node.domain.reasons import reason_meaning
from cxr_node.queries.grouping import GroupBy
from cxr_node.queries.not_analysed import by_group
from cxr_node.queries.turnaround import film_outcomes


def senders(
    since: SinceOption = "7d",
    until: UntilOption = "",
    by: ByOption = GroupBy.SENDER,
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    at_most_s: TimeoutOption = STATEMENT_TIMEOUT_S,
) -> None:
    """List senders by films not analysed, most first, with the reasons; of the last 7 days by default."""
    with reporting_errors(), reading_database(path, at_most_s=at_most_s) as connection:
        counts = by_group(film_outcomes(connection, by, since=parse_time(since), until=parse_time(until)))
    if as_json or as_csv:
        rows = [asdict(count) | {"share": count.share} for count in counts]
        if as_csv:
            for row in rows:
                row["reasons"] = "; ".join(f"{films} {reason}" for reason, films in row["reasons"].items())
        columns = ("group", "films", "not_analysed", "share", "failed", "reasons")
        print_rows(rows, columns, none="", as_json=as_json, as_csv=as_csv)
        return
    table = Table(by.value, "films", "not analysed", "share", "failed", "why")
    for count in counts:
        reasons = "; ".join(f"{films} {reason_meaning(reason)}" for reason, films in count.reasons.items())
        numbers = (str(count.films), str(count.not_analysed), f"{count.share:.0%}", str(count.failed))
        table.add_row(count.group, *numbers, reasons)
    out.print(table if counts else NO_FILMS)
