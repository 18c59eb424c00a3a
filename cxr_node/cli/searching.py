"""Search of commands, and display of identifiers; the audit trail records both."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.cli.terminal import CommandError
from cxr_node.db.database import Connection
from cxr_node.domain.clock import local_time, utc_now
from cxr_node.queries import identifiers
from cxr_node.queries.identifiers import Identifiers
from cxr_node.queries.search import IDENTIFIERS, UIDS, Hit, Kind, Match, SearchResult, search

IdentifiersOption = Annotated[
    bool,
    typer.Option("--identifiers", help="Show accession number, Patient ID and study date; the audit trail records it."),
]

_WORDS = {
    "accession_numbers": "accession number",
    "patient_ids": "Patient ID",
    "patient_names": "Patient's Name",
    "study_dates": "study date",
    "study_descriptions": "study description",
}


def find(connection: Connection, path: Path, text: str, *, by: Collection[Match]) -> SearchResult:
    """Return what a text finds; a search by identifiers is recorded first."""
    outcome = search(connection, text, by=by)
    if outcome.identifiers:
        from cxr_node.ops.operator_log import operator_name
        from cxr_node.wiring import audit, identifier_audit

        with audit.of_command(config.load(path), utc_now) as trail:
            for column, value in outcome.identifiers.items():
                identifier_audit.record_search(trail, {column: value}, by=operator_name())
    return outcome


def find_study(connection: Connection, path: Path, text: str, *, by: Collection[Match]) -> Hit:
    """Return the one study that a text finds, or something in it.

    Raises
    ------
    CommandError
        If it finds none, or several.
    """
    hits = find(connection, path, text, by=by).hits
    if len({hit.study_id for hit in hits}) == 1:
        return hits[0]
    looked_for = ", ".join(match for match in Match if match in by)
    if not hits:
        raise CommandError(
            f"{text!r} is unknown as {looked_for}: it was not sent, or was rejected; "
            "`cxr-node status` counts rejections"
        )
    rows = "\n".join(f"  {line(hit)}" for hit in hits)
    example = f'"{hits[0].kind} {hits[0].number}"'
    raise CommandError(f"{text!r} finds several; name one of them, such as {example}:\n{rows}")


def study_id_of(connection: Connection, path: Path, text: str) -> int:
    """Return the number of the one study that a text names: accession number, Patient ID, study number, or a UID.

    Raises
    ------
    CommandError
        If it names none, or several.
    """
    study_id = find_study(connection, path, text, by=UIDS | IDENTIFIERS | {Match.STUDY_NUMBER}).study_id
    if study_id is None:
        raise CommandError(f"{text!r} is no study")
    return study_id


def line(hit: Hit) -> str:
    """Return a line on a hit, without identifiers."""
    by = ", ".join(hit.matches)
    event = "created" if hit.kind is Kind.JOB else "received"
    of_study = f", of study {hit.study_id}" if hit.study_id is not None and hit.kind is not Kind.STUDY else ""
    return f"{hit.kind} {hit.number}{of_study}, {event} {local_time(hit.at)}, by {by}"


def shown_identifiers(connection: Connection, path: Path, study_ids: Collection[int]) -> Mapping[int, Identifiers]:
    """Return the identifiers of studies by number, after the audit trail has recorded that they are shown."""
    from cxr_node.ops.operator_log import operator_name
    from cxr_node.wiring import audit, identifier_audit

    films = identifiers.of_studies(connection, study_ids)
    with audit.of_command(config.load(path), utc_now) as trail:
        identifier_audit.record_shown(trail, films, by=operator_name())
    return identifiers.by_study(films)


def identifier_lines(shown: Identifiers) -> list[str]:
    """Return a line for each identifier that there is; of several values each."""
    return [f"{_WORDS[name]}: {', '.join(values)}" for name, values in asdict(shown).items() if values]
