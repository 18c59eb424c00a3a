"""`cxr-node reconcile`: received = delivered + in progress + not reported; archive files against rows."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from cxr_node import config
from cxr_node.archive.store import is_film_key
from cxr_node.cli.terminal import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.domain.clock import local_time
from cxr_node.queries import ledger
from cxr_node.queries.ledger import Fate, LedgerEntry
from cxr_node.wiring.process import Process


class GroupBy(StrEnum):
    """What films are grouped by."""

    DAY = "day"
    SENDER = "sender"
    DEVICE = "device"
    ASSOCIATION = "association"


def reconcile(
    path: ConfigOption = DEFAULT_CONFIG,
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only films received on this day.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Only films from this calling AE title.")] = None,
    address: Annotated[str | None, typer.Option(help="Only films from the device at this address.")] = None,
    association: Annotated[
        str | None, typer.Option(help="Only films of this association, named as in the log.")
    ] = None,
    by: Annotated[GroupBy | None, typer.Option(help="Also count by day, sender, device or association.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Account for every received film. Exit status 1 if one is not reported, or a film or its row is missing.

    Received = delivered + in progress + not reported, with a reason. Delivered: every destination has the
    study's results, and committed to their storage where required. Films removed later by retention are counted.
    """
    with reporting_errors():
        since = None if day is None else datetime.combine(day.date(), time()).astimezone(UTC)
        until = None if since is None else since + timedelta(days=1)
        with Process.open(config.load(path)) as process:
            with process.database.read() as connection:
                films = ledger.entries(
                    connection,
                    since=since,
                    until=until,
                    calling_ae_title=sender,
                    address=address,
                    association=association,
                )
                keys = ledger.archive_keys(connection)
            missing = sorted(key for key in keys if key not in process.archive)
            unnamed = set(process.archive.stored_keys()) - keys
            with process.database.read() as connection:
                unnamed -= ledger.archive_keys(connection)  # received meanwhile
    not_reported = [film for film in films if film.fate is Fate.NOT_REPORTED]
    unnamed_films = sorted(filter(is_film_key, unnamed))
    if as_json:
        document = {
            "counts": _counts(films),
            "not_reported": [_plain(film) for film in not_reported],
            "missing_files": missing,
            "unnamed_films": unnamed_films,
            "unnamed_results": sorted(unnamed.difference(unnamed_films)),
        }
        groups = (
            {} if by is None else {f"by_{by}": {name: _counts(group) for name, group in _groups(films, by).items()}}
        )
        typer.echo(json.dumps(document | groups, indent=2))
    else:
        _print(films, by)
        _print_problems(not_reported, missing, unnamed_films, len(unnamed) - len(unnamed_films))
    if not_reported or missing or unnamed_films:
        raise typer.Exit(EXIT_FAILED)


def _counts(films: Sequence[LedgerEntry]) -> dict[str, int]:
    tally = {fate.value: count for fate, count in ledger.tally(films).items()}
    return {"received": len(films), **tally, "removed": sum(film.removed_at is not None for film in films)}


_GROUP_NAMES: dict[GroupBy, Callable[[LedgerEntry], str]] = {
    GroupBy.DAY: lambda film: f"{film.received_at.astimezone():%Y-%m-%d}",
    GroupBy.SENDER: lambda film: film.calling_ae_title,
    GroupBy.DEVICE: lambda film: f"{film.calling_ae_title} at {film.address}",
    GroupBy.ASSOCIATION: lambda film: film.association or "(not recorded)",
}


def _groups(films: Sequence[LedgerEntry], by: GroupBy) -> dict[str, list[LedgerEntry]]:
    groups: dict[str, list[LedgerEntry]] = {}
    for film in films:
        groups.setdefault(_GROUP_NAMES[by](film), []).append(film)
    return groups


def _print(films: Sequence[LedgerEntry], by: GroupBy | None) -> None:
    counts = ledger.tally(films)
    parts = " + ".join(f"{counts[fate]} {_words(fate)}" for fate in Fate)
    out.print(f"{len(films)} received = {parts}")
    removed = [film.removed_at for film in films if film.removed_at is not None]
    if removed:
        out.print(
            f"{len(removed)} of the delivered films were removed from the archive"
            f" (archive.keep_days or `cxr-node purge`), the last on {max(removed).astimezone():%Y-%m-%d}"
        )
    if by is not None:
        table = Table(by.value, "received", *(_words(fate) for fate in Fate), "removed")
        for name, group in _groups(films, by).items():
            table.add_row(name, *(str(count) for count in _counts(group).values()))
        out.print(table)


def _print_problems(
    not_reported: Sequence[LedgerEntry], missing: Sequence[str], unnamed_films: Sequence[str], unnamed_results: int
) -> None:
    if not_reported:
        table = Table("not reported", "sender", "received", "film")
        for film in not_reported:
            table.add_row(film.reason, film.calling_ae_title, local_time(film.received_at), film.sop_instance_uid)
        out.print(table)
    for key in missing:
        out.print(f"MISSING FILE {key}: its row exists, its file does not; restore it from a backup", markup=False)
    if unnamed_films:
        out.print(
            f"{len(unnamed_films)} films without a row: the database was lost or put back to an older state, or the "
            "node was killed before it answered their sender. `cxr-node adopt` reads them in; --json lists them"
        )
    if unnamed_results:
        out.print(f"{unnamed_results} results without a row: they are superseded; --json lists them")


def _words(fate: Fate) -> str:
    return fate.value.replace("_", " ")


def _plain(film: LedgerEntry) -> dict[str, str]:
    return {
        "sop_instance_uid": film.sop_instance_uid,
        "study_instance_uid": film.study_instance_uid,
        "calling_ae_title": film.calling_ae_title,
        "address": film.address,
        "association": film.association,
        "received_at": film.received_at.isoformat(),
        "reason": film.reason,
    }
