"""`cxr-node reissue`: withdraw the results of a study and issue them anew."""

import json
from typing import Annotated

import typer

from cxr_node.cli.database import read_write
from cxr_node.cli.searching import study_id_of
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors
from cxr_node.domain.rejection_titles import RejectionTitle
from cxr_node.ops import withdrawals
from cxr_node.ops.formatting import counted
from cxr_node.ops.withdrawals import NothingWithdrawn


def reissue(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="Accession number, Patient ID, study number, or a UID.")
    ],
    path: ConfigOption = DEFAULT_CONFIG,
    note: Annotated[
        str, typer.Option(help="Why, without patient data: rejection notes and audit trail repeat it.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Withdraw the results of a study at each destination, and issue them anew under other UIDs.

    New reports name the earlier ones as predecessors. Films and results that were stored do not change.
    """
    with reporting_errors(), read_write(path) as process:
        with process.database.read() as connection:
            study_id = study_id_of(connection, path, study)
        try:
            number = withdrawals.reissue(process, study_id, title=RejectionTitle.WORKLIST, note=note)
        except NothingWithdrawn as error:
            raise CommandError(str(error)) from None
    if as_json:
        typer.echo(json.dumps({"study_id": study_id, "withdrawn": number}))
        return
    typer.echo(f"study {study_id}: {counted(number, 'result')} withdrawn; its results are composed and sent anew")
