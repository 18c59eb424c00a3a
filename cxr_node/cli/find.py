"""`cxr-node find`: studies, films and jobs by UID, accession number, Patient ID or number."""

from dataclasses import asdict, fields
from typing import Annotated

import typer

from cxr_node.cli.database import reading_database
from cxr_node.cli.rows import CsvOption, print_rows
from cxr_node.cli.searching import IdentifiersOption, find, shown_identifiers
from cxr_node.cli.terminal import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, JsonOption, reporting_errors
from cxr_node.queries import search
from cxr_node.queries.identifiers import Identifiers

_COLUMNS = ("kind", "number", "found_by", "at", "study_id", "study_instance_uid", "stage", "state", "reason")
_SHOWN = ("kind", "number", "found_by", "at", "state", "study_instance_uid")
_IDENTIFIERS = tuple(field.name for field in fields(Identifiers))


def find_text(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help='UID (study, series, SOP instance), accession number, Patient ID, or number; "job 5" for one kind.',
        ),
    ],
    path: ConfigOption = DEFAULT_CONFIG,
    with_identifiers: IdentifiersOption = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Find studies, films and jobs, the newest first. Exit status 1 if there is none.

    The audit trail records a search for a text that is no UID of this node: it may be a Patient ID.
    """
    with reporting_errors(), reading_database(path) as connection:
        hits = find(connection, path, text, by=search.ALL).hits
        studies = {hit.study_id for hit in hits if hit.study_id is not None}
        shown = shown_identifiers(connection, path, studies) if with_identifiers else {}
        rows = [
            {
                **asdict(hit),
                "found_by": ", ".join(hit.matches),
                **{name: ", ".join(values) for name, values in asdict(shown.get(hit.study_id or 0, _NONE)).items()},
            }
            for hit in hits
        ]
        columns, brief = (
            (_COLUMNS + _IDENTIFIERS, _SHOWN[:-1] + _IDENTIFIERS) if with_identifiers else (_COLUMNS, _SHOWN)
        )
        none = f"{text!r} finds nothing: it was not sent, was rejected, or its identifiers are not kept"
        print_rows(rows, columns, shown=brief, none=none, as_json=as_json, as_csv=as_csv)
    if not hits:
        raise typer.Exit(EXIT_FAILED)


_NONE = Identifiers()
