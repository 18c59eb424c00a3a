"""`cxr-node selftest faults`: a scratch node is killed, starved and lied to; nothing may be lost or doubled."""

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

app = typer.Typer(help="Try whether this installation keeps its promises.", no_args_is_help=True)

_DATABASES = ("sqlite", "postgresql")
_WHOLE = Amounts()


@app.callback()
def _selftest() -> None:
    """Keep `faults` a command of its own, also while there is no other."""


@app.command()
def faults(
    groups: Annotated[str, typer.Option(help=f"Some of {', '.join(GROUPS)}, separated by commas.")] = ",".join(GROUPS),
    databases: Annotated[str, typer.Option(help="sqlite, postgresql, or both, separated by a comma.")] = ",".join(
        _DATABASES
    ),
    url: Annotated[
        str, typer.Option(help="A scratch PostgreSQL, as postgresql://user@host/name; none: one of the suite's own.")
    ] = "",
    folder: Annotated[
        Path | None, typer.Option(help="Where everything goes, an empty folder; none: a temporary one.")
    ] = None,
    kills: Annotated[int, typer.Option(min=1, help="Kills of the scratch node on each database.")] = _WHOLE.kills,
    program_kills: Annotated[
        int, typer.Option(min=0, help="Kills of the installed program on each database.")
    ] = _WHOLE.supervised_kills,
    messages: Annotated[int, typer.Option(min=1, help="Malformed PDUs and data sets.")] = _WHOLE.messages,
    seed: Annotated[int, typer.Option(help="Of everything that is left to chance.")] = Request().seed,
    receive_path: Annotated[
        str, typer.Option(help='Its receive.path: "streaming" or "pynetdicom".')
    ] = Request().receive_path,
    receive_processes: Annotated[
        int, typer.Option(min=1, help="Receiving processes of the installed program, on one port.")
    ] = Request().receive_processes,
    short: Annotated[bool, typer.Option("--short", help="A little of each, within a minute or two.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Injure a scratch node in every way and count what is lost or doubled. Exit status 1 if anything is.

    It works in a folder and databases of its own and touches no others; a folder that is not empty and a database that
    holds films are refused.
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
            made = {"version": version("cxr-node"), "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "seed": seed}
            typer.echo(json.dumps(made | {"groups": [each.plain() for each in outcomes]}, indent=2))
        if not suite.is_good(outcomes):
            raise CommandError("a promise was broken, or nothing could be tried: see the table")


def _run(request: Request, *, show: bool) -> list[Outcome]:
    columns = (SpinnerColumn(), TextColumn("{task.description:46}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True, disable=not show) as progress:
        tasks = {kind: progress.add_task(f"{kind}: starting") for kind in request.databases}

        def tell(kind: Kind, what: str, done: int, of: int) -> None:
            progress.update(tasks[kind], description=f"{kind}: {what}", completed=done, total=of)

        def on_outcome(outcome: Outcome) -> None:
            word = "skipped" if outcome.skipped else ("good" if outcome.is_good else "NOT GOOD")
            numbers = (
                f"{outcome.faults:,} injected, {outcome.films:,} films in, {outcome.confirmed:,} confirmed, "
                f"{outcome.lost:,} lost, {outcome.doubled:,} doubled, {outcome.seconds:.0f} s"
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
        *("injected", "films in", "confirmed", "lost", "doubled", "seconds"),
        title=f"cxr-node {version('cxr-node')}, {at}, seed {request.seed}",
    )
    for each in outcomes:
        numbers = (each.faults, each.films, each.confirmed, each.lost, each.doubled)
        row = ["-"] * len(numbers) if each.skipped else [f"{number:,}" for number in numbers]
        table.add_row(each.group, each.database, *row, f"{each.seconds:.0f}")
    out.print(table)
    for each in outcomes:
        name = f"{each.group} on {each.database}"
        if each.skipped:
            out.print(f"{name}: skipped, {each.skipped}", markup=False, soft_wrap=True)
        for note in each.notes:
            out.print(f"{name}: {note}", markup=False, soft_wrap=True)
        for problem in each.problems:
            out.print(f"PROBLEM {name}: {problem}", markup=False, soft_wrap=True)


def _parse_names(text: str, known: tuple[str, ...], option: str) -> tuple[str, ...]:
    named = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in named if name not in known]
    if unknown or not named:
        raise CommandError(
            f"{option}: {', '.join(unknown) or 'nothing'} is not known; expected some of {', '.join(known)}"
        )
    return named
