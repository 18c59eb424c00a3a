"""`cxr-node destination` and `cxr-node reading`: pause and resume deliveries to a destination, and reading."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from cxr_node.cli.database import read_write
from cxr_node.cli.rows import CsvOption, print_rows
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors
from cxr_node.db.states import Stage
from cxr_node.ops import pauses
from cxr_node.ops.pauses import CannotPause, Target
from cxr_node.queries import overview

destinations = typer.Typer(help="Destinations: list, pause and resume deliveries.", no_args_is_help=True)
reading = typer.Typer(help="Reading: pause and resume.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the destination in the settings.")]
Note = Annotated[str, typer.Option(help="Why, for status, page, log and audit trail; no patient data.")]
_COLUMNS = ("destination", "waiting", "failed", "unreachable_since", "trouble", "paused_at", "paused_by")


@destinations.command("list")
def list_destinations(
    path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False, as_csv: CsvOption = False
) -> None:
    """List destinations, with results that wait, since when one is unreachable, and who paused it."""
    with reporting_errors(), read_write(path) as process, process.database.read() as connection:
        present = {row.destination: row for row in overview.destinations(connection)}
        names = pauses.destination_names(process.settings, connection)
    rows = [
        {column: getattr(present[name], column) if name in present else name if column == "destination" else None
         for column in _COLUMNS}
        for name in dict.fromkeys([*names, *present])
    ]  # fmt: skip
    print_rows(rows, _COLUMNS, none="no destinations", as_json=as_json, as_csv=as_csv)


@destinations.command("pause")
def pause_destination(
    name: Name, path: ConfigOption = DEFAULT_CONFIG, note: Note = "", as_json: JsonOption = False
) -> None:
    """Send nothing to a destination until it is resumed, on every host; films are received, read and composed."""
    with _reporting(), read_write(path) as process:
        pauses.pause(process, Target(stage=Stage.DELIVER, destination=name), note=note)
    _print({"destination": name, "paused": True}, f"{name} is paused: results wait", as_json=as_json)


@destinations.command("resume")
def resume_destination(name: Name, path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Send results to a paused destination again; those that wait are due now."""
    with _reporting(), read_write(path) as process:
        waiting = pauses.resume(process, Target(stage=Stage.DELIVER, destination=name))
    values = {"destination": name, "paused": False, "waiting": waiting}
    _print(values, f"{name} is resumed: {waiting} results are due", as_json=as_json)


@reading.command("pause")
def pause_reading(path: ConfigOption = DEFAULT_CONFIG, note: Note = "", as_json: JsonOption = False) -> None:
    """Read no film until reading is resumed, on every host; films are received and wait."""
    with _reporting(), read_write(path) as process:
        pauses.pause(process, Target(stage=Stage.READ), note=note)
    _print({"reading": "paused"}, "reading is paused: films are received and wait", as_json=as_json)


@reading.command("resume")
def resume_reading(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Read films again; those that wait are due now."""
    with _reporting(), read_write(path) as process:
        waiting = pauses.resume(process, Target(stage=Stage.READ))
    _print({"reading": "resumed", "waiting": waiting}, f"reading is resumed: {waiting} films are due", as_json=as_json)


@contextmanager
def _reporting() -> Iterator[None]:
    with reporting_errors():
        try:
            yield
        except CannotPause as error:
            raise CommandError(str(error)) from None


def _print(values: dict[str, object], sentence: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(values) if as_json else sentence)
