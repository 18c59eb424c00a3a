"""`cxr-node reissue`: send the results of a study anew under corrected demographics."""

import json
from typing import Annotated

import typer

from cxr_node.cli.database import read_write
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors, uid_of
from cxr_node.ops import operator_log
from cxr_node.records import corrections


def reissue(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID of the corrected films.")],
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Accept the corrected films of a study: read them, and send its results under their patient, study and order.

    New reports name the earlier ones as predecessors. Films and results that were stored do not change.
    """
    with reporting_errors(), read_write(path) as process:
        uid = uid_of(study)
        actor = operator_log.operator_name()
        with process.database.write() as transaction:
            corrected = corrections.waiting(transaction.connection, uid)
            for correction in corrected:
                corrections.accept(transaction, correction, actor=actor, now=process.clock())
        if not corrected:
            raise CommandError(f"study {uid} has no corrected film; `cxr-node study {uid}` shows its films")
        operator_log.record(process, f"{len(corrected)} corrected films accepted", subject=f"studies/{uid}")
    if as_json:
        typer.echo(json.dumps({"films": [correction.film_id for correction in corrected]}))
        return
    for correction in corrected:
        typer.echo(f"film {correction.film_id}: {correction.detail.partition(';')[0]}")
    typer.echo(f"{len(corrected)} corrected films are read, then the results of the study are sent again")
