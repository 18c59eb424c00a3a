"""`cxr-node adopt`: reads kept films without a row into the database."""

import json
from dataclasses import asdict

import typer

from cxr_node import config
from cxr_node.cli.terminal import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.db import migrate
from cxr_node.ops import adoption, operator_log
from cxr_node.records import backfill
from cxr_node.wiring.process import Process


def adopt(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Read kept films without a row into the database, after it was lost or put back to an older state.

    They are read and reported again; a result has the same SOP Instance UID as before if model, software and settings
    are the same. Restore a backup first, if there is one. Exit status 1 if a kept file is no film to adopt.
    """
    with reporting_errors(), Process.open(config.load(path)) as process:
        process.database.check_pages()
        migrate.upgrade(process.database)
        backfill.fill_all(process.database)
        adopted, refusals = adoption.adopt(process)
        operator_log.record(process, f"{adopted} kept films read into the database", subject="films")
    if as_json:
        document = {"adopted": adopted, "not_adopted": [asdict(refusal) for refusal in refusals]}
        typer.echo(json.dumps(document, indent=2))
    else:
        for refusal in refusals:
            out.print(f"NOT ADOPTED {refusal.archive_key}: {refusal.reason}", markup=False)
        out.print(f"{adopted} films adopted, {len(refusals)} files not; they are read once the node runs")
    if refusals:
        raise typer.Exit(EXIT_FAILED)
