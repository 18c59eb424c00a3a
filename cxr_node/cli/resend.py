"""`cxr-node resend`: send delivered results to a destination again."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cxr_node.cli.database import read_write
from cxr_node.cli.searching import study_id_of
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, UntilOption, parse_time
from cxr_node.ops import resends
from cxr_node.ops.resends import CannotResend, ResendPlan
from cxr_node.records.resends import Selection


def resend(
    destination: Annotated[str, typer.Argument(metavar="DESTINATION", help="Name of the destination.")],
    path: ConfigOption = DEFAULT_CONFIG,
    study: Annotated[
        str, typer.Option(help="Only this study: accession number, Patient ID, study number, or a UID.")
    ] = "",
    since: SinceOption = "",
    until: UntilOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be sent.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send delivered results to a destination again, such as after it lost them: the same instances.

    `--since` and `--until` are of the time when the destination accepted a result. What is on its way already is not
    queued twice; what a later result of the study superseded is not sent. New results go first.
    """
    if not study and not since:
        raise typer.BadParameter("name a study (--study) or a period (--since)")
    with reporting_errors(), read_write(path) as process:
        with process.database.read() as connection:
            study_id = study_id_of(connection, path, study) if study else None
        selection = Selection(
            destination=destination,
            study_ids=None if study_id is None else (study_id,),
            since=parse_time(since),
            until=parse_time(until),
        )
        try:
            plan = resends.plan_to(process, selection)
        except CannotResend as error:
            raise CommandError(str(error)) from None
        what = " ".join(
            [f"study {study_id}"] * bool(study) + [f"since {since}"] * bool(since) + [f"until {until}"] * bool(until)
        )
        queued = 0 if dry_run else resends.resend(process, selection, what=what)
        _print(plan, queued, dry_run=dry_run, as_json=as_json)
        if not plan.results and not dry_run:
            raise CommandError("no delivered result matches")


def _print(plan: ResendPlan, queued: int, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**asdict(plan), "queued": queued}))
        return
    typer.echo(f"{plan.sentence} {'would be sent again' if dry_run else 'queued to be sent again'}")
    for phrase in plan.left:
        typer.echo(f"not sent: {phrase}")
