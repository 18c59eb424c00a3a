"""`cxr-node purge`: what is delivered and old goes now, rather than when archive.keep_days says."""

import json
from datetime import timedelta
from typing import Annotated

import typer

from cxr_node.cli.database import read_write
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, reporting_errors
from cxr_node.ops import operator_log
from cxr_node.ops.operator_log import OperatorAction
from cxr_node.records import retention
from cxr_node.wiring import audit, audit_decorators
from cxr_node.work.periodic.retention import remove_expired


def purge(
    days: Annotated[float, typer.Option("--older-than", min=0.0, help="Only studies of which all is older, in days.")],
    path: ConfigOption = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it; without, say how many studies there are.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove the films and results of studies that are delivered and old. Rows stay, and say when.

    What is not delivered, was delivered with an error, or needs a person is never removed, however old it is.
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
            operator_log.record(process, OperatorAction(by=operator_log.operator_name(), what=what, subject="studies"))
        else:
            with process.database.read() as connection:
                studies = retention.count_removable(connection, before=process.clock() - keep)
    if as_json:
        typer.echo(json.dumps({"studies": studies, "removed": yes}))
        return
    typer.echo(
        f"{studies} studies removed" if yes else f"{studies} studies can go: --yes removes their films and results"
    )
