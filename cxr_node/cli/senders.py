"""`cxr-node senders`: which senders' films are not analysed, and why."""

import json
from dataclasses import asdict

import typer
from rich.table import Table

from cxr_node.cli.database import STATEMENT_TIMEOUT_S, reading_database
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, TimeoutOption, UntilOption, parse_time
from cxr_node.domain.reasons import reason_meaning
from cxr_node.queries.senders import by_sender
from cxr_node.queries.turnaround import film_outcomes


def senders(
    since: SinceOption = "7d",
    until: UntilOption = "",
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    at_most_s: TimeoutOption = STATEMENT_TIMEOUT_S,
) -> None:
    """List senders by films not analysed, most first, with the reasons; of the last 7 days by default."""
    with reporting_errors(), reading_database(path, at_most_s=at_most_s) as connection:
        counts = by_sender(film_outcomes(connection, since=parse_time(since), until=parse_time(until)))
    if as_json:
        typer.echo(json.dumps([asdict(sender) | {"share": sender.share} for sender in counts], indent=2))
        return
    table = Table("sender", "films", "not analysed", "share", "failed", "why")
    for sender in counts:
        reasons = "; ".join(f"{films} {reason_meaning(reason)}" for reason, films in sender.reasons.items())
        numbers = (str(sender.films), str(sender.not_analysed), f"{sender.share:.0%}", str(sender.failed))
        table.add_row(sender.calling_ae_title, *numbers, reasons)
    out.print(table if counts else "no film was received in this time")
