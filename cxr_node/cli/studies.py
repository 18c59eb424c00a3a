"""`cxr-node study`: films, jobs and deliveries of a study, and why it has no report."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from cxr_node.cli.database import reading_database
from cxr_node.cli.explain import print_explanations
from cxr_node.cli.rows import cell
from cxr_node.cli.searching import IdentifiersOption, find_study, identifier_lines, shown_identifiers
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.queries.search import IDENTIFIERS, UIDS, Match
from cxr_node.queries.study_status import study_status

_BY = UIDS | IDENTIFIERS | {Match.STUDY_NUMBER}

_TABLES = (
    (
        "films",
        (
            "film_id",
            "view",
            "modality",
            "station_name",
            "state",
            "reason",
            "received_at",
            "read_at",
            "calling_ae_title",
        ),
    ),
    ("jobs", ("job_id", "stage", "state", "reason", "detail", "priority", "attempts", "destination", "ended_at")),
    ("deliveries", ("destination", "kind", "version", "state", "delivered_at", "confirmed_at", "detail")),
)


def study(
    which: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help="Accession number, Patient ID, study number, or a UID of the study or of something in it.",
        ),
    ],
    path: ConfigOption = DEFAULT_CONFIG,
    with_identifiers: IdentifiersOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the films, jobs and deliveries of a study and, if it has no report yet, why."""
    with reporting_errors(), reading_database(path) as connection:
        hit = find_study(connection, path, which, by=_BY)
        status = study_status(connection, str(hit.study_instance_uid))
        studies = () if hit.study_id is None else (hit.study_id,)
        shown = shown_identifiers(connection, path, studies) if with_identifiers else {}
    if as_json:
        identified = {"identifiers": {str(number): asdict(one) for number, one in shown.items()}} if shown else {}
        typer.echo(json.dumps({**status, **identified}, indent=2, default=str))
        return
    out.print(f"study {status['study_instance_uid']}", markup=False)
    for identifier in (text for one in shown.values() for text in identifier_lines(one)):
        out.print(f"  {identifier}", markup=False)
    for sentence in status["summary"]:
        out.print(f"  {sentence}", markup=False)
    print_explanations(status["explanations"])
    for name, columns in _TABLES:
        table = Table(*columns, title=name, title_justify="left")
        for row in status[name]:
            table.add_row(*(cell(row[column]) for column in columns))
        out.print(table)
