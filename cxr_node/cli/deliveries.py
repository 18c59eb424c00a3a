"""`cxr-node deliveries`, `retry` and `requeue`: results on their way, and another try for what ended."""

import json
from typing import Annotated

import typer
from rich.table import Table

from cxr_node.cli.database import read_write, reading_database
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.db.states import ENDED, Stage, State
from cxr_node.ops import operator_log
from cxr_node.ops.operator_log import OperatorAction
from cxr_node.queries import view_rows
from cxr_node.queries.view_rows import Comparison, Condition
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queue import queue

Destination = Annotated[str, typer.Option("--destination", help="Only to this destination.")]
_SHOWN = ("delivery_id", "job_id", "destination", "kind", "state", "attempts", "due_at", "delivered_at", "detail")


def deliveries(
    path: ConfigOption = DEFAULT_CONFIG,
    destination: Destination = "",
    state: Annotated[State | None, typer.Option(help="Only those in this state: failed are the dead letters.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List results on their way to destinations, newest first, with what each destination said last."""
    wanted = {"destination": destination or None, "state": state}
    conditions = [_equal(name, value) for name, value in wanted.items() if value]
    with reporting_errors(), reading_database(path) as connection:
        rows = view_rows.rows(connection, VIEWS["v1_deliveries"], conditions=conditions, limit=limit)
    if as_json:
        typer.echo(json.dumps(rows, indent=2, default=str))
        return
    table = Table(*_SHOWN)
    for row in rows:
        table.add_row(*(f"{row[name] if row[name] is not None else ''}" for name in _SHOWN))
    out.print(table if rows else "no deliveries")


def retry(
    job_ids: Annotated[list[int], typer.Argument(help="Jobs that are done, set aside or failed.")],
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let jobs that have ended run again: the same as `cxr-node jobs retry`."""
    from cxr_node.cli.jobs import retry_jobs

    retry_jobs(job_ids, path, as_json)


def requeue(
    path: ConfigOption = DEFAULT_CONFIG,
    state: Annotated[State, typer.Option(help="Those in this state: failed, not_analysed or done.")] = State.FAILED,
    stage: Annotated[Stage | None, typer.Option(help="Only of this stage.")] = None,
    destination: Destination = "",
    reason: Annotated[str, typer.Option(help="Only with this coded reason.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the oldest.")] = 1000,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it; without, say how many there are.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let every ended job of a kind run again, such as what failed while a destination refused."""
    if state not in ENDED:
        raise typer.BadParameter(f"a job that is {state} has not ended", param_hint="--state")
    wanted = {"state": state, "stage": stage, "destination": destination or None, "reason": reason or None}
    conditions = [_equal(name, value) for name, value in wanted.items() if value]
    with reporting_errors(), read_write(path) as process:
        with process.database.read() as connection:
            found = view_rows.rows(
                connection, VIEWS["v1_jobs"], columns=["job_id"], conditions=conditions, order="job_id", limit=limit
            )
        job_ids = [row["job_id"] for row in found]
        moved: list[int] = []
        if yes and job_ids:
            with process.database.write() as transaction:
                moved = queue.requeue(transaction, job_ids, actor=operator_log.operator_name(), now=process.clock())
            said = f"{len(moved)} jobs queued again"
            operator_log.record(process, OperatorAction(by=operator_log.operator_name(), what=said, subject="jobs"))
        if as_json:
            typer.echo(json.dumps({"found": job_ids, "requeued": moved}))
            return
        typer.echo(f"{len(moved)} jobs queued again" if yes else f"{len(job_ids)} jobs: --yes queues them again")
        if yes and not job_ids:
            raise CommandError("there is no such job")


def _equal(column: str, value: object) -> Condition:
    return Condition(column=column, comparison=Comparison.EQUAL, value=value)
