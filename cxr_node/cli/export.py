"""`cxr-node export`: films and results without identifiers, for research and registries."""

import json
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr_node.cli.database import read_write
from cxr_node.cli.searching import study_id_of
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, UntilOption
from cxr_node.domain.clock import utc_now
from cxr_node.domain.result_names import RESULT_NAMES
from cxr_node.export.pseudonyms import LEAST_SECRET_CHARACTERS
from cxr_node.ops.formatting import counted
from cxr_node.queries.tables.paging import all_keys
from cxr_node.queries.tables.registry import TABLES
from cxr_node.queries.tables.selection import InvalidSelection, SelectionText, parse_selection
from cxr_node.queries.tables.table import EVER

if TYPE_CHECKING:
    from cxr_node.db.row_ids import RowIds
    from cxr_node.ops.export_target import ExportTarget
    from cxr_node.ops.exports import ExportConditions, ExportOutcome, ExportPlan
    from cxr_node.wiring.process import Process

_TABLES = ("films", "studies", "findings", "refusals")
_NO_RESULTS = "none"
_NEWEST = "is_newest"
_IDENTIFYING = re.compile(r"^(\w*_(?:id|uid)|address|detail)(\W+).*$", re.DOTALL)
"""Conditions with values that lead to one film, or to whoever sent it."""


def export(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Folder of the export: a new one, or one to go on with.")
    ] = None,
    path: ConfigOption = DEFAULT_CONFIG,
    destination: Annotated[
        str, typer.Option(help="Instead of a folder, a destination of the settings of the kind cstore or stow.")
    ] = "",
    table: Annotated[str, typer.Option(help=f"Table that the conditions are on: {', '.join(_TABLES)}.")] = "films",
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="COLUMN=VALUE, or with !=, <, <=, >, >=; columns as on the page, scores 0 to 100. Repeatable."
        ),
    ] = None,
    study: Annotated[
        str, typer.Option(help="Only this study: accession number, Patient ID, study number, or a UID.")
    ] = "",
    since: SinceOption = "",
    until: UntilOption = "",
    retain: Annotated[
        list[str] | None,
        typer.Option(help="Option of the profile: modified-dates, descriptors, patient or device. Repeatable."),
    ] = None,
    result: Annotated[
        list[str] | None,
        typer.Option(help="Result to compose; none for films alone. Repeatable; by default the usual ones."),
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="File with the secret, not export.secret.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be exported.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Export films without identifiers, and their results composed anew, to a folder or a destination.

    The basic profile of PS3.15 annex E: nothing is kept but what is known to be safe. Films with text burned in are
    left out. The same secret gives the same pseudonyms. `--since` and `--until` are of the time of reception.
    """
    _require(
        is_selective=bool(study or since or until or where), has_target=dry_run or bool(folder) != bool(destination)
    )
    with reporting_errors(), read_write(path) as process:
        from cxr_node.ops import exports
        from cxr_node.ops.export_target import CannotExport

        film_ids, study_ids = _selected(process, path, table, where or [], study, since, until)
        with process.database.read() as connection:
            planned = exports.plan(connection, film_ids=film_ids, study_ids=study_ids)
        try:
            conditions = _conditions(process, retain or [], result, secret_file, needs_secret=not dry_run)
            _print_plan(planned, conditions, as_json=as_json and dry_run, is_shown=not as_json)
            if dry_run:
                return
            if not planned.films:
                raise CommandError("no film can be exported")
            with _target(process, folder, destination, conditions) as target:
                words = _selection_words(table, where or [], study, since, until)
                outcome = exports.export(process, planned, conditions, target, selection=words)
        except CannotExport as error:
            raise CommandError(str(error)) from None
        _print_outcome(outcome, as_json=as_json)


def _require(*, is_selective: bool, has_target: bool) -> None:
    if not is_selective:
        raise typer.BadParameter("name a study (--study), a period (--since) or conditions (--where)")
    if not has_target:
        raise typer.BadParameter("name a folder, or a destination (--destination)")


def _target(
    process: "Process", folder: Path | None, destination: str, conditions: "ExportConditions"
) -> AbstractContextManager["ExportTarget"]:
    from cxr_node.ops import exports

    if folder is None:
        return exports.destination_target(process, destination)
    return exports.folder_target(folder, conditions)


def _selected(
    process: "Process", path: Path, table: str, where: list[str], study: str, since: str, until: str
) -> tuple["RowIds | None", "RowIds | None"]:
    """Return the films and studies that the arguments select; None where they do not restrict."""
    if table not in _TABLES:
        raise CommandError(f"--table {table!r}: expected one of {', '.join(_TABLES)}")
    study_ids: RowIds | None = None
    if study:
        with process.database.read() as connection:
            study_ids = (study_id_of(connection, path, study),)
    if not (where or since or until):
        return None, study_ids
    if table == "findings" and not any(condition.startswith(_NEWEST) for condition in where):
        where = [*where, f"{_NEWEST}=yes"]
    text = SelectionText(where=tuple(where), since=since or EVER, until=until)
    try:
        selection = parse_selection(TABLES[table], text, now=utc_now(), sees_films=True)
    except InvalidSelection as error:
        raise CommandError(str(error)) from None
    if table != "studies":
        return all_keys(selection, "film_id"), study_ids
    if study_ids is None:
        return None, all_keys(selection, "study_id")
    raise CommandError("--study and conditions on studies exclude each other")


def _selection_words(table: str, where: list[str], study: str, since: str, until: str) -> str:
    """Return the arguments that select films, for the list of exports, which names no study and no film."""
    stated = [_IDENTIFYING.sub(r"\1\2...", condition) for condition in where]
    words = ["one study"] if study else []
    words += [f"{table} with {' and '.join(stated)}"] if stated else []
    words += [f"{word} {text}" for word, text in (("since", since), ("until", until)) if text]
    return ", ".join(words)


def _conditions(
    process: "Process",
    retain: list[str],
    result: list[str] | None,
    secret_file: Path | None,
    *,
    needs_secret: bool,
) -> "ExportConditions":
    from cxr_node.export.options import Option
    from cxr_node.ops.exports import DEFAULT_RESULTS, ExportConditions

    unknown = [name for name in retain if name not in set(Option)]
    if unknown:
        raise CommandError(f"--retain {unknown[0]!r}: expected one of {', '.join(Option)}")
    results = DEFAULT_RESULTS if result is None else tuple(name for name in result if name != _NO_RESULTS)
    return ExportConditions(
        secret=_secret(process, secret_file) if needs_secret else "",
        options=frozenset(Option(name) for name in retain),
        results=tuple(name for name in RESULT_NAMES if name in results)
        + tuple(name for name in results if name not in RESULT_NAMES),
    )


def _secret(process: "Process", secret_file: Path | None) -> str:
    if secret_file is None:
        secret = process.settings.export.secret.get_secret_value()
        if not secret:
            raise CommandError("export.secret is not set: `openssl rand -hex 32 > FILE`, and name it by --secret-file")
        return secret
    try:
        secret = secret_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        raise CommandError(f"{secret_file} cannot be read as a secret") from None
    if len(secret) < LEAST_SECRET_CHARACTERS:
        raise CommandError(f"the secret of {secret_file} has fewer than {LEAST_SECRET_CHARACTERS} characters")
    return secret


def _print_plan(planned: "ExportPlan", conditions: "ExportConditions", *, as_json: bool, is_shown: bool) -> None:
    if as_json:
        document = {
            "films": planned.films,
            "studies": len(planned.film_ids),
            "left_out": dict(planned.left_out),
            "options": sorted(conditions.options),
            "results": list(conditions.results),
        }
        typer.echo(json.dumps(document))
    if not is_shown:
        return
    typer.echo(f"to export: {planned.sentence}; with {', '.join(conditions.results) or 'no results'}")
    for option in sorted(conditions.options):
        typer.echo(f"retained: {option.meaning}")
    for reason, number in planned.left_out.items():
        typer.echo(f"left out: {number} {reason}")


def _print_outcome(outcome: "ExportOutcome", *, as_json: bool) -> None:
    if as_json:
        document = {
            "studies": outcome.studies,
            "objects": dict(outcome.objects),
            "present": outcome.present,
            "left_out": dict(outcome.left_out),
        }
        typer.echo(json.dumps(document))
        return
    objects = ", ".join(f"{number} {kind}" for kind, number in outcome.objects.items()) or "nothing"
    typer.echo(f"exported: {counted(outcome.studies, 'study')}: {objects}")
    if outcome.present:
        typer.echo(f"there already: {counted(outcome.present, 'study')}")
    for reason, number in outcome.left_out.items():
        typer.echo(f"left out: {number} {reason}")
