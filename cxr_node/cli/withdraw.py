"""`cxr-node withdraw`: hide films, and withdraw the results that they are in; or show them again."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from cxr_node.cli.database import read_write
from cxr_node.cli.searching import study_id_of
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors, uid_of
from cxr_node.ops import withdrawals
from cxr_node.ops.formatting import counted
from cxr_node.ops.withdrawals import CAUSES, NothingWithdrawn


class Cause(StrEnum):
    """Causes by which a person withdraws films: keys of `CAUSES`."""

    SAFETY = "safety"
    WORKLIST = "worklist"
    QUALITY = "quality"


def withdraw(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="Accession number, Patient ID, study number, or a UID.")
    ],
    path: ConfigOption = DEFAULT_CONFIG,
    film: Annotated[str, typer.Option(metavar="UID", help="Only the film of this SOP Instance UID.")] = "",
    cause: Annotated[Cause, typer.Option(help="Title of the rejection notes.")] = Cause.SAFETY,
    note: Annotated[
        str, typer.Option(help="Why, without patient data: rejection notes and audit trail repeat it.")
    ] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Show the withdrawn films of the study again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Hide the films of a study, and withdraw the results that they are in at each destination that has them.

    What is left of the study is issued anew. The films are kept; their UIDs are refused from then on, except after
    `--cause quality`.
    """
    with reporting_errors(), read_write(path) as process:
        with process.database.read() as connection:
            study_id = study_id_of(connection, path, study)
        try:
            if undo:
                films = withdrawals.restore(process, study_id)
            else:
                uid = uid_of(film) if film else None
                films = withdrawals.withdraw(
                    process, study_id, title=CAUSES[cause.value], sop_instance_uid=uid, note=note
                )
        except NothingWithdrawn as error:
            raise CommandError(str(error)) from None
    if as_json:
        typer.echo(json.dumps({"study_id": study_id, "films": films}))
        return
    done = "shown again and read" if undo else f"withdrawn ({CAUSES[cause.value].meaning})"
    typer.echo(f"study {study_id}: {counted(films, 'film')} {done}")
