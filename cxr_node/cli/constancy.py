"""`cxr-node constancy`: constancy check with phantoms; show and accept its values."""

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
from cxr_node.domain.clock import local_time
from cxr_node.monitoring.constancy import CheckState
from cxr_node.ops import operator_log
from cxr_node.ops.formatting import statistic_words
from cxr_node.records import constancy as rows
from cxr_node.wiring import constancy

app = typer.Typer(help="Constancy checks with phantoms.", no_args_is_help=True)
_NONE = "there is no check yet: run `cxr-node constancy run`"


@app.command("run")
def run(
    path: ConfigOption = DEFAULT_CONFIG,
    port: Annotated[int, typer.Option(help="Port of the node, if it is not that of the settings.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Send the phantoms to the running node, wait, and compare its readings with the expected values.

    Exit status 1 if the check failed. No result of a phantom is delivered.
    """
    with reporting_errors(), read_write(path) as process:
        outcome = constancy.check(process, port=port)
        with process.database.read() as connection:
            check = rows.newest(connection, run_id=outcome.run_id)
    _print(check, as_json=as_json)
    if outcome.state is CheckState.FAILED:
        raise typer.Exit(EXIT_FAILED)


@app.command("show")
def show(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the newest check. Exit status 1 if it failed."""
    with reporting_errors(), reading_database(path) as connection:
        check = rows.newest(connection)
        if check is None:
            raise CommandError(_NONE)
    _print(check, as_json=as_json)
    if check[0]["state"] == CheckState.FAILED:
        raise typer.Exit(EXIT_FAILED)


@app.command("accept")
def accept(
    path: ConfigOption = DEFAULT_CONFIG,
    run_id: Annotated[int, typer.Option("--run", help="Number of the check; default: the newest.")] = 0,
) -> None:
    """Accept the values of a check as expected for this model on this device, after a person reviewed them."""
    with reporting_errors(), read_write(path) as process:
        with process.database.read() as connection:
            check = rows.newest(connection, run_id=run_id or None)
        if check is None:
            raise CommandError(_NONE)
        row, values = check
        if not values:
            raise CommandError(f"check {row['id']} has no values to accept: {row['detail']}")
        wrong = [
            f"{value['key']} of phantom {value['seed']}"
            for value in values
            if value["kind"] == "truth" and not _is_within_tolerance(value)
        ]
        if wrong:
            raise CommandError(
                f"check {row['id']} is not accepted: it differs from the phantom's truth: {', '.join(wrong)}"
            )
        with process.database.write() as transaction:
            number = rows.accept(transaction, row["id"], by=operator_log.operator_name(), now=process.clock())
        what = f"constancy check {row['id']} accepted for {_model(row)}"
        operator_log.record(process, what, subject="constancy", kind=SOFTWARE_CONFIGURATION)
    typer.echo(f"{number} values of check {row['id']} are now expected of {_model(row)} on {row['engine']}")


def _print(check: tuple[dict[str, Any], list[dict[str, Any]]] | None, *, as_json: bool) -> None:
    if check is None:
        return
    row, values = check
    if as_json:
        document = {**row, "values": [{**v, "is_within_tolerance": _is_within_tolerance(v)} for v in values]}
        typer.echo(json.dumps(document, indent=2, default=str))
        return
    out.print(f"check {row['id']} of {local_time(row['started_at'])}: {row['state']}", markup=False)
    if row["detail"]:
        out.print(row["detail"], markup=False)
    if not values:
        return
    out.print(f"{_model(row)} on {row['engine']}", markup=False)
    table = Table("phantom", "kind", "name", "read", "expected", "tolerance", "")
    for value in values:
        status = {True: "", False: "OFF", None: "not accepted"}[_is_within_tolerance(value)]
        numbers = (statistic_words(value["kind"], value[name]) for name in ("value", "expected", "tolerance"))
        table.add_row(str(value["seed"]), value["kind"], value["key"], *numbers, status)
    out.print(table)


def _is_within_tolerance(value: dict[str, Any]) -> bool | None:
    if value["expected"] is None:
        return None
    return bool(abs(value["value"] - value["expected"]) <= value["tolerance"])


def _model(row: dict[str, Any]) -> str:
    return f"{row['model_name']} {row['model_version']}"
