"""`cxr-node study`: films, jobs and deliveries of a study, and why it has no report."""

import json
from typing import Annotated

import typer
from rich.table import Table

from cxr_node.cli.database import reading_database
from cxr_node.cli.explain import print_explanations
from cxr_node.cli.rows import cell
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, out, reporting_errors, uid_of
from cxr_node.db.database import Connection
from cxr_node.queries.study_status import find_study_uid, study_status

_TABLES = (
    ("films", ("film_id", "view", "state", "reason", "received_at", "read_at", "calling_ae_title")),
    ("jobs", ("job_id", "stage", "state", "reason", "detail", "priority", "attempts", "destination", "ended_at")),
    ("deliveries", ("destination", "kind", "version", "state", "delivered_at", "confirmed_at", "detail")),
)


def study(
    uid: Annotated[str, typer.Argument(metavar="UID", help="Study Instance UID, or the SOP Instance UID of a film.")],
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show the films, jobs and deliveries of a study and, if it has no report yet, why."""
    with reporting_errors(), reading_database(path) as connection:
        status = study_status(connection, _study_uid(connection, uid))
    if as_json:
        typer.echo(json.dumps(status, indent=2, default=str))
        return
    out.print(f"study {status['study_instance_uid']}", markup=False)
    for sentence in status["summary"]:
        out.print(f"  {sentence}", markup=False)
    print_explanations(status["explanations"])
    for name, columns in _TABLES:
        table = Table(*columns, title=name, title_justify="left")
        for row in status[name]:
            table.add_row(*(cell(row[column]) for column in columns))
        out.print(table)


def _study_uid(connection: Connection, text: str) -> str:
    uid = uid_of(text)
    study_instance_uid = find_study_uid(connection, uid)
    if study_instance_uid is None:
        raise CommandError(f"{uid} is unknown: it was not sent, or was rejected; `cxr-node status` counts rejections")
    return study_instance_uid
