"""`cxr-node selftest faults`: fault injection on a scratch node; nothing may be lost or duplicated."""

import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cxr_node.cli.terminal import CommandError, JsonOption, err, out, reporting_errors
from cxr_node.faults import scratch, suite
from cxr_node.faults.context import SHORT, Amounts, Kind
from cxr_node.faults.outcome import Outcome
from cxr_node.faults.suite import GROUPS, Request

app = typer.Typer(help="Tests of this installation.", no_args_is_help=True)

_DATABASES = ("sqlite", "postgresql")
_WHOLE = Amounts()


@app.callback()
def _selftest() -> None:
    """Keep `faults` a subcommand, although it is the only one."""


@app.command()
def faults(
    groups: Annotated[str, typer.Option(help=f"Some of {', '.join(GROUPS)}, separated by commas.")] = ",".join(GROUPS),
    databases: Annotated[str, typer.Option(help="sqlite, postgresql, or both, separated by a comma.")] = ",".join(
        _DATABASES
    ),
    url: Annotated[
        str,
        typer.Option(
            help="A scratch PostgreSQL database, as postgresql://user@host/name; default: a server of the suite."
        ),
    ] = "",
    folder: Annotated[
        Path | None, typer.Option(help="An empty folder for all files; default: a temporary one.")
    ] = None,
    kills: Annotated[int, typer.Option(min=1, help="Kills of the scratch node on each database.")] = _WHOLE.kills,
    program_kills: Annotated[
        int, typer.Option(min=0, help="Kills of the installed program on each database.")
    ] = _WHOLE.supervised_kills,
    messages: Annotated[int, typer.Option(min=1, help="Malformed PDUs and data sets.")] = _WHOLE.messages,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = Request().seed,
    receive_path: Annotated[
        str, typer.Option(help='Its receive.path: "streaming" or "pynetdicom".')
    ] = Request().receive_path,
    receive_processes: Annotated[
        int, typer.Option(min=1, help="Receiving processes of the installed program, on one port.")
    ] = Request().receive_processes,
    short: Annotated[bool, typer.Option("--short", help="A short run of each group, in one or two minutes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Inject faults into a scratch node and count lost and duplicated films. Exit status 1 if there are any.

    Uses its own folder and databases; rejects a folder that is not empty and a database with films.
    """
    with reporting_errors():
        amounts = SHORT if short else Amounts(kills=kills, supervised_kills=program_kills, messages=messages)
        request = Request(
            groups=_parse_names(groups, tuple(GROUPS), "--groups"),
            databases=cast("tuple[Kind, ...]", _parse_names(databases, _DATABASES, "--databases")),
            url=url,
            folder=folder,
            seed=seed,
            amounts=amounts,
            receive_path=_parse_names(receive_path, ("streaming", "pynetdicom"), "--receive-path")[0],
            receive_processes=receive_processes,
        )
        try:
            outcomes = _run(request, show=not as_json)
        except scratch.NotScratch as error:
            raise CommandError(str(error)) from None
        if as_json:
            header = {"version": version("cxr-node"), "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "seed": seed}
            typer.echo(json.dumps(header | {"groups": [outcome.plain() for outcome in outcomes]}, indent=2))
        if not suite.is_good(outcomes):
            raise CommandError("a guarantee was broken, or no fault could be injected: see the table")


def _run(request: Request, *, show: bool) -> list[Outcome]:
    columns = (SpinnerColumn(), TextColumn("{task.description:46}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True, disable=not show) as progress:
        tasks = {kind: progress.add_task(f"{kind}: starting") for kind in request.databases}

        def tell(kind: Kind, what: str, done: int, of: int) -> None:
            progress.update(tasks[kind], description=f"{kind}: {what}", completed=done, total=of)

        def on_outcome(outcome: Outcome) -> None:
            word = "skipped" if outcome.skipped else ("passed" if outcome.is_good else "FAILED")
            numbers = (
                f"{outcome.faults:,} injected, {outcome.films:,} films in, {outcome.confirmed:,} confirmed, "
                f"{outcome.lost:,} lost, {outcome.doubled:,} duplicated, {outcome.seconds:.0f} s"
            )
            progress.console.print(f"{outcome.group} on {outcome.database}: {word}; {numbers}")

        outcomes = suite.run(request, tell=tell, on_outcome=on_outcome)
    if show:
        _show(outcomes, request)
    return outcomes


def _show(outcomes: list[Outcome], request: Request) -> None:
    at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    table = Table(
        "faults",
        "database",
        *("injected", "films in", "confirmed", "lost", "duplicated", "seconds"),
        title=f"cxr-node {version('cxr-node')}, {at}, seed {request.seed}",
    )
    for outcome in outcomes:
        numbers = (outcome.faults, outcome.films, outcome.confirmed, outcome.lost, outcome.doubled)
        row = ["-"] * len(numbers) if outcome.skipped else [f"{number:,}" for number in numbers]
        table.add_row(outcome.group, outcome.database, *row, f"{outcome.seconds:.0f}")
    out.print(table)
    for outcome in outcomes:
        name = f"{outcome.group} on {outcome.database}"
        if outcome.skipped:
            out.print(f"{name}: skipped, {outcome.skipped}", markup=False, soft_wrap=True)
        for note in outcome.notes:
            out.print(f"{name}: {note}", markup=False, soft_wrap=True)
        for problem in outcome.problems:
            out.print(f"PROBLEM {name}: {problem}", markup=False, soft_wrap=True)


def _parse_names(text: str, known: tuple[str, ...], option: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise CommandError(
            f"{option}: {', '.join(unknown) or 'nothing'} is not valid; expected some of {', '.join(known)}"
        )
    return names
