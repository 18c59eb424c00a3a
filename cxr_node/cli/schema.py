"""`cxr-node db`: upgrade the schema, copy into another database, and create the users of the database."""

import typer

from cxr_node import config
from cxr_node.cli import database_copy, grants
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, reporting_errors
from cxr_node.db import migrate
from cxr_node.records import backfill
from cxr_node.wiring.process import Process

app = typer.Typer(help="Job database.", no_args_is_help=True)
app.command("grant-reader")(grants.grant_reader)
app.command("copy")(database_copy.copy)


@app.command("upgrade")
def database_upgrade(path: ConfigOption = DEFAULT_CONFIG) -> None:
    """Upgrade the database to the schema of this version. `run` does so at its start."""
    with reporting_errors(), Process.open(config.load(path)) as process:
        migrate.upgrade(process.database)
        backfill.fill_all(process.database)
    typer.echo("the database schema is up to date")
