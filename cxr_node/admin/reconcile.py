"""`cxr-node reconcile`: received = delivered + on the way + set aside, and the files that the rows promise."""

import json
from datetime import UTC, datetime, time, timedelta
from typing import Annotated

import typer
from rich.table import Table

from cxr_node import config, node
from cxr_node.admin.terminal import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, JsonOption, explained, out
from cxr_node.archive.folder import FolderArchive
from cxr_node.jobs import ledger
from cxr_node.jobs.ledger import Entry, Fate


def reconcile(
    path: ConfigOption = DEFAULT_CONFIG,
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only films received on this day.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Only films from this calling AE title.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Account for every film received. Exit status 1 if one needs a person, or a file and the rows disagree."""
    with explained():
        settings = config.load(path)
        since = None if day is None else datetime.combine(day.date(), time()).astimezone(UTC)
        until = None if since is None else since + timedelta(days=1)
        database = node.database(settings)
        try:
            with database.read() as connection:
                films = ledger.entries(connection, since=since, until=until, calling_ae_title=sender)
                named = ledger.archive_keys(connection)
        finally:
            database.close()
        archive = node.archive(settings)
    aside = [film for film in films if film.fate is Fate.SET_ASIDE]
    missing = sorted(key for key in named if key not in archive)
    unnamed = _unnamed(archive, named)
    if as_json:
        counts = {"received": len(films)} | {fate.value: count for fate, count in ledger.tally(films).items()}
        details = {"set_aside": [_plain(film) for film in aside], "missing_files": missing, "unnamed_files": unnamed}
        typer.echo(json.dumps({"counts": counts, **details}, indent=2))
    else:
        _print(films, aside, missing, unnamed)
    if aside or missing:
        raise typer.Exit(EXIT_FAILED)


def _unnamed(archive: FolderArchive, named: set[str]) -> list[str]:
    """Return the files that no row names: a film whose sender never got Success, or a result composed anew."""
    return sorted(set(archive.kept_keys()) - named)


def _print(films: list[Entry], aside: list[Entry], missing: list[str], unnamed: list[str]) -> None:
    counts = ledger.tally(films)
    parts = " + ".join(f"{counts[fate]} {fate.value.replace('_', ' ')}" for fate in Fate)
    out.print(f"{len(films)} received = {parts}")
    if aside:
        table = Table("set aside", "from", "received", "film")
        for film in aside:
            table.add_row(
                film.reason, film.calling_ae_title, f"{film.received_at:%Y-%m-%d %H:%M:%S}", film.sop_instance_uid
            )
        out.print(table)
    for key in missing:
        out.print(f"MISSING FILE {key}: its row is there, its bytes are not; restore it from a backup", markup=False)
    if unnamed:
        out.print(f"{len(unnamed)} files that no row names: nobody was promised them; --json lists them")


def _plain(film: Entry) -> dict[str, str]:
    return {
        "sop_instance_uid": film.sop_instance_uid,
        "study_instance_uid": film.study_instance_uid,
        "calling_ae_title": film.calling_ae_title,
        "received_at": film.received_at.isoformat(),
        "reason": film.reason,
    }
