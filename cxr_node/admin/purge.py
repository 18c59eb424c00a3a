"""`cxr-node purge`: what is delivered and old goes now, rather than when archive.keep_days says."""

import json
from datetime import timedelta
from typing import Annotated

import typer

from cxr_node import config, upkeep
from cxr_node.admin import changes
from cxr_node.admin.changes import Change
from cxr_node.admin.jobs import opened_database
from cxr_node.admin.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, explained
from cxr_node.jobs import retention
from cxr_node.node import audited, auditing, places


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
    with explained(), opened_database(path) as database:
        if yes:
            settings = config.load(path)
            with auditing.of_command(settings) as audit:
                studies = upkeep.remove_old(
                    database,
                    places.archive(settings),
                    keep=keep,
                    clock=places.now,
                    removing=audited.removing(audit),
                )
            what = f"the films and results of {studies} studies older than {days:g} days removed"
            changes.record(settings, Change(by=changes.person(), what=what, subject="studies"))
        else:
            with database.read() as connection:
                studies = retention.removable(connection, before=places.now() - keep)
    if as_json:
        typer.echo(json.dumps({"studies": studies, "removed": yes}))
        return
    typer.echo(
        f"{studies} studies removed" if yes else f"{studies} studies can go: --yes removes their films and results"
    )
