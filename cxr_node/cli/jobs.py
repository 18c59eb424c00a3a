"""`cxr-node jobs`: list, count and show jobs, and queue ended jobs again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from cxr_node.cli.database import read_write
from cxr_node.cli.explain import print_explanations
from cxr_node.cli.rows import CsvOption, print_rows
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.db.states import Stage, State
from cxr_node.domain.clock import local_time
from cxr_node.domain.explanations import explanations_of
from cxr_node.ops import operator_log, retries
from cxr_node.queue import search
from cxr_node.queue.search import EventRow, JobRow
from cxr_node.records import dismissals

_COLUMNS = tuple(column.name for column in fields(JobRow))
_SHOWN = ("job_id", "stage", "state", "reason", "study_id", "calling_ae_title", "destination", "created_at")

app = typer.Typer(help="Jobs: waiting, running, done, not analysed, failed, dismissed.", no_args_is_help=True)


@app.command("list")
def list_jobs(
    path: ConfigOption = DEFAULT_CONFIG,
    state: Annotated[State | None, typer.Option(help="Only this state.")] = None,
    stage: Annotated[Stage | None, typer.Option(help="Only this stage.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the newest.")] = 50,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List jobs, newest first."""
    with reporting_errors(), read_write(path) as process, process.database.read() as connection:
        rows = search.jobs(connection, state=state, stage=stage, limit=limit)
    print_rows([asdict(row) for row in rows], _COLUMNS, shown=_SHOWN, none="no jobs", as_json=as_json, as_csv=as_csv)


@app.command("count")
def count_jobs(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    """Count jobs by stage, state and reason."""
    with reporting_errors(), read_write(path) as process, process.database.read() as connection:
        counts = search.counts(connection)
    columns = ("stage", "state", "reason", "jobs")
    print_rows([asdict(count) for count in counts], columns, none="no jobs", as_json=as_json, as_csv=as_csv)


@app.command("show")
def show_job(
    job_id: Annotated[int, typer.Argument(help="The job's number.")],
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show one job and its events."""
    with reporting_errors(), read_write(path) as process, process.database.read() as connection:
        row = search.one(connection, job_id)
        if row is None:
            raise CommandError(f"there is no job {job_id}; see `cxr-node jobs list`")
        events = search.events(connection, job_id)
    if as_json:
        typer.echo(json.dumps({**_plain(row), "events": [_plain(event) for event in events]}, indent=2))
        return
    for name, value in _plain(row).items():
        if value not in (None, ""):
            out.print(f"{name:20} {value}", markup=False)
    print_explanations(explanation.as_row() for explanation in explanations_of(reasons=[row.reason]))
    table = Table("at", "event", "state", "by", "detail")
    for event in events:
        table.add_row(local_time(event.at), event.event, event.state, event.actor, event.detail)
    out.print(table)


@app.command("retry")
def retry_jobs(
    job_ids: Annotated[list[int], typer.Argument(help="Jobs that are done, not analysed, failed or dismissed.")],
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Queue ended jobs again."""
    with reporting_errors(), read_write(path) as process:
        requeued = retries.retry(process, job_ids)
        _print_changed("requeued", requeued, "queued again", as_json=as_json)
        if unchanged := sorted(set(job_ids) - set(requeued)):
            raise CommandError(f"not queued again, because they have not ended or do not exist: {_names(unchanged)}")


@app.command("dismiss")
def dismiss_jobs(
    job_ids: Annotated[list[int], typer.Argument(help="Jobs in any state.")],
    path: ConfigOption = DEFAULT_CONFIG,
    note: Annotated[str, typer.Option(help="Why, for the job, the log and the audit trail; no patient data.")] = "",
    as_json: JsonOption = False,
) -> None:
    """End jobs that must not be run any more, such as one that ends its process again and again.

    A film that was never read is reported as not analysed. `cxr-node jobs retry` queues a dismissed job again.
    """
    with reporting_errors(), read_write(path) as process:
        actor = operator_log.operator_name()
        with process.database.write() as transaction:
            dismissed = dismissals.dismiss_jobs(
                transaction, job_ids, detail=operator_log.dismissed_by(actor, note), actor=actor, now=process.clock()
            )
        for job_id in dismissed:
            operator_log.record(process, "job dismissed", subject=f"jobs/{job_id}")
        _print_changed("dismissed", dismissed, "dismissed", as_json=as_json)
        if unchanged := sorted(set(job_ids) - set(dismissed)):
            raise CommandError(f"not dismissed: dismissed already, or no such job: {_names(unchanged)}")


def _print_changed(key: str, job_ids: Sequence[int], done: str, *, as_json: bool) -> None:
    """Print which jobs were changed."""
    if as_json:
        typer.echo(json.dumps({key: list(job_ids)}))
    elif job_ids:
        typer.echo(f"{done}: {_names(job_ids)}")


def _names(job_ids: Sequence[int]) -> str:
    return ", ".join(map(str, job_ids))


def _plain(row: JobRow | EventRow) -> dict[str, object]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(row).items()}
