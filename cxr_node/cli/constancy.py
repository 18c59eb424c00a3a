"""`cxr-node constancy`: the node sends itself phantoms and looks whether it reads them as before."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from cxr_node.audit.events import SOFTWARE_CONFIGURATION
from cxr_node.cli.database import read_write, reading_database
from cxr_node.cli.terminal import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    CommandError,
    ConfigOption,
    JsonOption,
    out,
    reporting_errors,
)
from cxr_node.monitoring.constancy import CheckState
from cxr_node.ops import operator_log
from cxr_node.ops.operator_log import OperatorAction
from cxr_node.records import constancy as rows
from cxr_node.wiring import constancy
from cxr_node.wiring.process import Process

app = typer.Typer(help="Whether phantoms are read as before.", no_args_is_help=True)
_NONE = "there has been no check yet: `cxr-node constancy run`"


@app.command("run")
def run(
    path: ConfigOption = DEFAULT_CONFIG,
    port: Annotated[int, typer.Option(help="Where the node listens, if not where the settings say.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Send the phantoms to the node that runs, wait, and say how it read them.

    Exit status 1 if it failed. Nothing of the phantoms goes to any destination.
    """
    with reporting_errors(), read_write(path) as process:
        outcome = constancy.check(process, port=port)
        with process.database.read() as connection:
            found = rows.newest(connection, run_id=outcome.run_id)
    _print(found, as_json=as_json)
    if outcome.state is CheckState.FAILED:
        raise typer.Exit(EXIT_FAILED)


@app.command("show")
def show(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Say how the newest check ended. Exit status 1 if it failed."""
    with reporting_errors(), reading_database(path) as connection:
        found = rows.newest(connection)
        if found is None:
            raise CommandError(_NONE)
    _print(found, as_json=as_json)
    if found[0]["state"] == CheckState.FAILED:
        raise typer.Exit(EXIT_FAILED)


@app.command("accept")
def accept(
    path: ConfigOption = DEFAULT_CONFIG,
    run_id: Annotated[int, typer.Option("--run", help="The number of a check; the newest without.")] = 0,
) -> None:
    """Take what was read in a check for what is expected of this model on this device, after a person has looked."""
    with reporting_errors(), read_write(path) as process:
        with process.database.read() as connection:
            found = rows.newest(connection, run_id=run_id or None)
        if found is None:
            raise CommandError(_NONE)
        row, values = found
        if not values:
            raise CommandError(f"check {row['id']} has no values to accept: {row['detail']}")
        off = [
            f"{each['key']} of phantom {each['seed']}"
            for each in values
            if each["kind"] == "truth" and not _is_within_tolerance(each)
        ]
        if off:
            raise CommandError(f"check {row['id']} is not accepted: not what the phantom has: {', '.join(off)}")
        with process.database.write() as transaction:
            number = rows.accept(transaction, row["id"], by=operator_log.operator_name(), now=process.clock())
        _record(process, row)
    typer.echo(f"{number} values of check {row['id']} are expected of {_model(row)} on {row['engine']} from now on")


def _record(process: Process, row: dict[str, Any]) -> None:
    what = f"constancy check {row['id']} accepted for {_model(row)}"
    change = OperatorAction(by=operator_log.operator_name(), what=what, subject="constancy")
    operator_log.record(process, change, kind=SOFTWARE_CONFIGURATION)


def _print(found: tuple[dict[str, Any], list[dict[str, Any]]] | None, *, as_json: bool) -> None:
    if found is None:
        return
    row, values = found
    if as_json:
        said = {**row, "values": [{**each, "is_within_tolerance": _is_within_tolerance(each)} for each in values]}
        typer.echo(json.dumps(said, indent=2, default=str))
        return
    out.print(f"check {row['id']} of {row['started_at']:%Y-%m-%d %H:%M} UTC: {row['state']}", markup=False)
    if row["detail"]:
        out.print(row["detail"], markup=False)
    if not values:
        return
    out.print(f"{_model(row)} on {row['engine']}", markup=False)
    table = Table("phantom", "kind", "what", "read", "expected", "tolerance", "")
    for each in values:
        held = {True: "", False: "OFF", None: "not accepted"}[_is_within_tolerance(each)]
        numbers = ("" if each[name] is None else f"{each[name]:.4g}" for name in ("value", "expected", "tolerance"))
        table.add_row(str(each["seed"]), each["kind"], each["key"], *numbers, held)
    out.print(table)


def _is_within_tolerance(each: dict[str, Any]) -> bool | None:
    if each["expected"] is None:
        return None
    return bool(abs(each["value"] - each["expected"]) <= each["tolerance"])


def _model(row: dict[str, Any]) -> str:
    return f"{row['model_name']} {row['model_version']}"
