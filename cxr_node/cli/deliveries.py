"""`cxr-node deliveries`, `retry` and `requeue`: list deliveries, and queue ended jobs again."""

import json
from typing import Annotated

import typer

from cxr_node.cli.database import read_write, reading_database
from cxr_node.cli.rows import CsvOption, print_rows
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, UntilOption, parse_time
from cxr_node.db.states import ENDED, Stage, State
from cxr_node.ops import retries
from cxr_node.queries import view_rows
from cxr_node.queries.view_rows import equal
from cxr_node.queries.views.registry import VIEWS

Destination = Annotated[str, typer.Option("--destination", help="Only this destination.")]
_SHOWN = ("delivery_id", "study_id", "destination", "kind", "state", "attempts", "delivered_at", "detail")


def deliveries(
    path: ConfigOption = DEFAULT_CONFIG,
    destination: Destination = "",
    state: Annotated[State | None, typer.Option(help="Only this state, such as failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the newest.")] = 50,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List deliveries, newest first, with the last response of each destination."""
    values = {"destination": destination or None, "state": state}
    conditions = [equal(name, value) for name, value in values.items() if value]
    with reporting_errors(), reading_database(path) as connection:
        rows = view_rows.rows(connection, VIEWS["v1_deliveries"], conditions=conditions, limit=limit)
    columns = tuple(VIEWS["v1_deliveries"].columns)
    print_rows(rows, columns, shown=_SHOWN, none="no deliveries", as_json=as_json, as_csv=as_csv)


def retry(
    job_ids: Annotated[list[int], typer.Argument(help="Jobs that are done, not analysed or failed.")],
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Queue ended jobs again: the same as `cxr-node jobs retry`."""
    from cxr_node.cli.jobs import retry_jobs

    retry_jobs(job_ids, path, as_json)


def requeue(
    path: ConfigOption = DEFAULT_CONFIG,
    state: Annotated[State, typer.Option(help="Only this state: failed, not_analysed or done.")] = State.FAILED,
    stage: Annotated[Stage | None, typer.Option(help="Only this stage.")] = None,
    destination: Destination = "",
    reason: Annotated[str, typer.Option(help="Only this coded reason.")] = "",
    since: SinceOption = "",
    until: UntilOption = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the oldest.")] = 1000,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Queue them; without it, only count them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Queue all matching ended jobs again, such as failed deliveries to one destination.

    A delivery that is done is sent once more. `--since` and `--until` are of the time when a job was first queued.
    """
    if state not in ENDED:
        raise typer.BadParameter(f"a job that is {state} has not ended", param_hint="--state")
    values = {"state": state, "stage": stage, "destination": destination or None, "reason": reason or None}
    conditions = [equal(name, value) for name, value in values.items() if value]
    with reporting_errors(), read_write(path) as process:
        with process.database.read() as connection:
            rows = view_rows.rows(
                connection,
                VIEWS["v1_jobs"],
                columns=["job_id"],
                conditions=conditions,
                since=parse_time(since),
                until=parse_time(until),
                order="job_id",
                limit=limit,
            )
        job_ids = [row["job_id"] for row in rows]
        requeued = retries.retry(process, job_ids) if yes and job_ids else []
        if as_json:
            typer.echo(json.dumps({"matching": job_ids, "requeued": requeued}))
            return
        typer.echo(f"{len(requeued)} jobs queued again" if yes else f"{len(job_ids)} jobs: --yes queues them again")
        if yes and not job_ids:
            raise CommandError("no job matches")
