"""`cxr-node purge`: remove delivered films and results older than a number of days, now."""

import json
from datetime import timedelta
from typing import Annotated

import typer

from cxr_node.cli.database import read_write
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, reporting_errors
from cxr_node.ops import operator_log
from cxr_node.records import retention
from cxr_node.wiring import audit, audit_decorators
from cxr_node.work.periodic.retention import remove_expired


def purge(
    days: Annotated[
        float, typer.Option("--older-than", min=0.0, help="Only studies entirely older than this many days.")
    ],
    path: ConfigOption = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them; without it, only count them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove films and results of delivered studies from the archive. Rows stay, with the time of removal.

    Studies that are not delivered, or have failed jobs, are never removed.
    """
    keep = timedelta(days=days)
    with reporting_errors(), read_write(path) as process:
        if yes:
            with audit.of_command(process.settings, process.clock) as trail:
                studies = remove_expired(
                    process.database,
                    process.archive,
                    keep=keep,
                    clock=process.clock,
                    before_removal=audit_decorators.before_removal(trail),
                )
            what = f"the films and results of {studies} studies older than {days:g} days removed"
            operator_log.record(process, what, subject="studies")
        else:
            with process.database.read() as connection:
                studies = retention.count_removable(connection, before=process.clock() - keep)
    if as_json:
        typer.echo(json.dumps({"studies": studies, "removed": yes}))
        return
    typer.echo(
        f"{studies} studies removed" if yes else f"{studies} studies match: --yes removes their films and results"
    )
