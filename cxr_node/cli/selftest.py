"""`cxr-node selftest faults`: fault injection into a scratch node; no film may be lost or reported twice."""

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
from cxr_node.faults.context import SHORT, Amounts, DatabaseKind
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.suite import GROUPS, Request

app = typer.Typer(help="Test this installation.", no_args_is_help=True)

_DATABASES = ("sqlite", "postgresql")
_WHOLE = Amounts()


@app.callback()
def _selftest() -> None:
    """Keep `faults` a subcommand while it is the only one."""


@app.command()
def faults(
    groups: Annotated[str, typer.Option(help=f"Groups, separated by commas: {', '.join(GROUPS)}.")] = ",".join(GROUPS),
    databases: Annotated[str, typer.Option(help="sqlite, postgresql, or both, separated by a comma.")] = ",".join(
        _DATABASES
    ),
    url: Annotated[
        str, typer.Option(help="A scratch PostgreSQL, as postgresql://user@host/name; default: a temporary server.")
    ] = "",
    folder: Annotated[
        Path | None, typer.Option(help="An empty folder for all files; default: a temporary one.")
    ] = None,
    kills: Annotated[int, typer.Option(min=1, help="Kills of the scratch node on each database.")] = _WHOLE.kills,
    program_kills: Annotated[
        int, typer.Option(min=0, help="Kills of the installed program on each database.")
    ] = _WHOLE.program_kills,
    messages: Annotated[int, typer.Option(min=1, help="Malformed PDUs and data sets.")] = _WHOLE.messages,
    chaos_minutes: Annotated[
        float, typer.Option(min=0, help="Real minutes of the group `chaos` on each database.")
    ] = _WHOLE.chaos_minutes,
    seed: Annotated[int, typer.Option(help="Seed of the random generators.")] = Request().seed,
    receive_path: Annotated[
        str, typer.Option(help='Its receive.path: "streaming" or "pynetdicom".')
    ] = Request().receive_path,
    receive_processes: Annotated[
        int, typer.Option(min=1, help="Receiving processes of the installed program, on one port.")
    ] = Request().receive_processes,
    short: Annotated[bool, typer.Option("--short", help="A little of each group, in one or two minutes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Inject faults into a scratch node; count films lost or reported twice. Exit status 1 if there are any.

    It works in its own folder and databases; a folder that is not empty or a database that holds films is rejected.
    """
    with reporting_errors():
        amounts = (
            SHORT
            if short
            else Amounts(kills=kills, program_kills=program_kills, messages=messages, chaos_minutes=chaos_minutes)
        )
        request = Request(
            groups=_parse_names(groups, tuple(GROUPS), "--groups"),
            databases=cast("tuple[DatabaseKind, ...]", _parse_names(databases, _DATABASES, "--databases")),
            url=url,
            folder=folder,
            seed=seed,
            amounts=amounts,
            receive_path=_parse_names(receive_path, ("streaming", "pynetdicom"), "--receive-path")[0],
            receive_processes=receive_processes,
        )
        try:
            results = _run(request, show=not as_json)
        except scratch.NotScratch as error:
            raise CommandError(str(error)) from None
        if as_json:
            run = {"version": version("cxr-node"), "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "seed": seed}
            typer.echo(json.dumps(run | {"groups": [result.as_json() for result in results]}, indent=2))
        if not suite.is_good(results):
            raise CommandError("a promise was broken, or no group ran: see the table")


def _run(request: Request, *, show: bool) -> list[GroupResult]:
    columns = (SpinnerColumn(), TextColumn("{task.description:46}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True, disable=not show) as progress:
        tasks = {kind: progress.add_task(f"{kind}: starting") for kind in request.databases}

        def on_progress(kind: DatabaseKind, label: str, done: int, total: int) -> None:
            progress.update(tasks[kind], description=f"{kind}: {label}", completed=done, total=total)

        def on_result(result: GroupResult) -> None:
            word = "skipped" if result.skipped else ("passed" if result.is_good else "FAILED")
            numbers = (
                f"{result.faults:,} injected, {result.films:,} films with Success, {result.confirmed:,} confirmed, "
                f"{result.lost:,} lost, {result.duplicated:,} duplicated, {result.seconds:.0f} s"
            )
            progress.console.print(f"{result.group} on {result.database}: {word}; {numbers}")

        results = suite.run(request, on_progress=on_progress, on_result=on_result)
    if show:
        _show(results, request)
    return results


def _show(results: list[GroupResult], request: Request) -> None:
    at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    table = Table(
        "faults",
        "database",
        *("injected", "films with Success", "confirmed", "lost", "duplicated", "seconds"),
        title=f"cxr-node {version('cxr-node')}, {at}, seed {request.seed}",
    )
    for result in results:
        numbers = (result.faults, result.films, result.confirmed, result.lost, result.duplicated)
        row = ["-"] * len(numbers) if result.skipped else [f"{number:,}" for number in numbers]
        table.add_row(result.group, result.database, *row, f"{result.seconds:.0f}")
    out.print(table)
    for result in results:
        name = f"{result.group} on {result.database}"
        if result.skipped:
            out.print(f"{name}: skipped, {result.skipped}", markup=False, soft_wrap=True)
        for note in result.notes:
            out.print(f"{name}: {note}", markup=False, soft_wrap=True)
        for problem in result.problems:
            out.print(f"PROBLEM {name}: {problem}", markup=False, soft_wrap=True)


def _parse_names(text: str, choices: tuple[str, ...], option: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in choices]
    if unknown or not names:
        raise CommandError(
            f"{option}: {', '.join(unknown) or 'nothing'} is unknown; expected some of {', '.join(choices)}"
        )
    return names
