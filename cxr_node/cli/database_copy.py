"""`cxr-node db copy`: all rows into another database, such as from SQLite to PostgreSQL."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.cli.database import read_write
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors
from cxr_node.ops import database_copy, operator_log
from cxr_node.ops.database_copy import CopyError
from cxr_node.wiring.process import Process


def copy(
    target: Annotated[
        Path, typer.Argument(metavar="SETTINGS", help="Settings file with the database.url to copy to, else the same.")
    ],
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Copy all rows into another, empty database, and compare their numbers. The node must not run.

    Films and results stay where they are. The copied database is not changed: to go back, start the node with its
    settings, as long as no film was received with the others.
    """
    with reporting_errors(), read_write(path) as process, Process.open(config.load(target)) as other:
        try:
            counts = database_copy.copy(process, other)
        except CopyError as error:
            raise CommandError(str(error)) from None
        operator_log.record(other, "copied from another database", subject="database")
    if as_json:
        typer.echo(json.dumps(counts))
        return
    for name, count in counts.items():
        if count:
            typer.echo(f"{count:>12,} {name}")
    typer.echo(
        f"{sum(counts.values()):,} rows of {len(counts)} tables; start the node with: cxr-node run --config {target}"
    )
