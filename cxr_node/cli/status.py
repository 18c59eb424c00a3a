"""`cxr-node status`: queues, destinations, senders and turnaround on one screen."""

import json
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cxr_node import config
from cxr_node.archive import space
from cxr_node.cli.database import STATEMENT_TIMEOUT_S, check_schema, read_only_database
from cxr_node.cli.terminal import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.domain.clock import local_time, utc_now
from cxr_node.ops.formatting import age
from cxr_node.ops.health import Health, Level, health
from cxr_node.queries import overview
from cxr_node.queries.overview import DestinationStatus, Overview, PeriodicJobStatus, StageStatus
from cxr_node.queries.prior_searches import PriorSourceStatus
from cxr_node.queries.worklists import WorklistStatus
from cxr_node.settings.root import Settings
from cxr_node.wiring import rejection_counters
from cxr_node.wiring.remote_state import RemoteState, read_state, trouble_sentence


def status(
    path: ConfigOption = DEFAULT_CONFIG,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh every --every seconds.")] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.2, help="Seconds between two refreshes.")] = 2.0,
    as_json: JsonOption = False,
) -> None:
    """Show problems, queues, destinations, senders and turnaround. Exit status 1 if something needs attention."""
    with reporting_errors():
        settings = config.load(path)
        current, condition = _state(settings)
        if as_json:
            values = {**plain(current), **_remote_json(settings), "health": asdict(condition)}
            typer.echo(json.dumps(values, indent=2))
        elif watch:
            _watch(path, every_s, _screen(current, condition, settings))
        else:
            out.print(_screen(current, condition, settings))
    if condition.level is Level.RED:
        raise typer.Exit(EXIT_FAILED)


def plain(state: Overview) -> dict[str, Any]:
    """Return an overview as JSON values."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(state), default=_text))
    return values


def _watch(path: Path, every_s: float, screen: RenderableType) -> None:
    """Show the screen, and a new one every `every_s` seconds, until interrupted."""
    from rich.live import Live

    with Live(screen, console=out, screen=out.is_terminal, auto_refresh=False) as live:
        while True:
            time.sleep(every_s)
            settings = config.load(path)
            live.update(_screen(*_state(settings), settings), refresh=True)


def _state(settings: Settings) -> tuple[Overview, Health]:
    now = utc_now()
    with read_only_database(settings, at_most_s=STATEMENT_TIMEOUT_S) as database:
        with database.read() as connection:
            check_schema(connection)
            current = overview.overview(connection, now=now)
        return current, health(settings, database, now=now)


def _screen(state: Overview, condition: Health, settings: Settings) -> RenderableType:
    heads = ("stage", "ready", "scheduled", "paused", "running", "failed", "oldest ready")
    queues = Table(*heads, title="queues", title_justify="left")
    for queue in state.queues:
        queues.add_row(*_queue(queue, state.at))
    destinations = Table("destination", "state", "waiting", "failed", "oldest", "last delivered", title_justify="left")
    for destination in state.destinations:
        destinations.add_row(
            destination.destination,
            _reachability(destination, state.at),
            str(destination.waiting),
            _alert(destination.failed),
            age(destination.oldest_at, state.at),
            age(destination.last_delivered_at, state.at),
        )
    senders = Table("sender", "films in 24 h", "not analysed", "last film", title_justify="left")
    for sender in state.senders:
        last = age(sender.last_received_at, state.at)
        senders.add_row(sender.calling_ae_title, str(sender.films), str(sender.not_analysed), last)
    parts: list[RenderableType] = [Text(_header(state, settings)), *_problems(condition), queues]
    jobs = Table("periodic job", "role", "last run", "took", "outcome", "next run", title_justify="left")
    for job in state.periodic_jobs:
        jobs.add_row(*_periodic_job(job, state.at))
    tables = (
        (destinations, state.destinations),
        (_worklists(state), state.worklists),
        (_prior_sources(state), state.prior_sources),
        (senders, state.senders),
        (jobs, state.periodic_jobs),
    )
    parts += [table for table, rows in tables if rows]
    rejections = rejection_counters.counts(settings)
    if rejections:
        counts = (f"{title or 'unnamed'} {reason} {count}" for (title, reason), count in rejections.items())
        more = "(see `cxr-node explain`, `cxr-node query v1_rejections`)"
        parts.append(Text(f"rejected by this host, in total: {', '.join(counts)} {more}"))
    remote = read_state(settings)
    if remote is not None:
        parts.append(_remote(remote, settings))
    if state.reasons:
        reasons = ", ".join(f"{reason} {films}" for reason, films in state.reasons.items())
        parts.append(Text(f"not analysed: {reasons} (see `cxr-node explain`)"))
    return Group(*parts)


def _problems(condition: Health) -> list[Text]:
    """Return a line for each problem, or one that says that there is none."""
    styles = {Level.RED: "bold red", Level.AMBER: "bold yellow"}
    lines = [
        Text.assemble((f"{problem.level}: ", styles[problem.level]), f"{problem.name}: {problem.sentence}")
        for problem in condition.problems
    ]
    in_order = "green: every destination was reached when last tried, nothing has failed, and nothing waits too long"
    return lines or [Text(in_order, "green")]


def _reachability(destination: DestinationStatus, at: datetime) -> Text:
    if destination.paused_at is not None:
        return Text(f"paused for {age(destination.paused_at, at)} by {destination.paused_by}", "bold yellow")
    if destination.unreachable_since is None:
        return Text("reachable", "green")
    return Text(f"unreachable for {age(destination.unreachable_since, at)}: {destination.trouble}", "bold red")


def _worklists(state: Overview) -> Table:
    table = Table("worklist", "state", "claimed steps", "ended in 24 h", "last ended", title_justify="left")
    for row in state.worklists:
        last = age(row.last_ended_at, state.at)
        table.add_row(row.worklist, _answers(row, state.at), str(row.claimed), str(row.ended), last)
    return table


def _prior_sources(state: Overview) -> Table:
    table = Table("source of prior films", "state", "found in 24 h", "last found", title_justify="left")
    for row in state.prior_sources:
        table.add_row(row.source, _answers(row, state.at), str(row.fetched), age(row.last_fetched_at, state.at))
    return table


def _answers(peer: WorklistStatus | PriorSourceStatus, at: datetime) -> Text:
    if not peer.trouble:
        return Text(f"answers for {age(peer.since, at)}", "green")
    return Text(f"no answer for {age(peer.since, at)}: {peer.trouble}", "bold yellow")


def _header(state: Overview, settings: Settings) -> str:
    free = space.free_space(settings.node.data_folder).size_bytes
    times = state.turnaround
    quantiles = {"p50": times.p50_s, "p90": times.p90_s, "p95": times.p95_s, "p99": times.p99_s}
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in quantiles.items() if value is not None)
    turnaround = f"film to report {seconds}" if seconds else "no report delivered in 24 h"
    last = f"last {age(state.last_received_at, state.at)} ago" if state.last_received_at else "none yet"
    return (
        f"{settings.node.name} at {local_time(state.at)}\n"
        f"films: {state.films_last_hour} in the last hour, {state.films_recent} in 24 h, {last}\n"
        f"{turnaround}; {free / 1e9:.1f} GB free"
    )


def _remote(state: RemoteState, settings: Settings) -> Text:
    """Return a line on the inference server."""
    section = settings.remote
    counts = ", ".join(f"{outcome} {count}" for outcome, count in sorted(state.requests.items())) or "none"
    if state.trouble is not None:
        sentence = f"inference server {section.url} {trouble_sentence(state.trouble, section.fallback)}"
        return Text(f"{sentence}; requests: {counts}", style="bold red")
    standing = "no reader has started yet" if state.written_at is None else "in use"
    return Text(f"inference server {section.url}: {standing}; requests: {counts}")


def _remote_json(settings: Settings) -> dict[str, Any]:
    """Return the state of the inference server as JSON values; empty for a local reader."""
    state = read_state(settings)
    return {} if state is None else {"remote": json.loads(json.dumps(asdict(state), default=_text))}


def _queue(queue: StageStatus, now: datetime) -> tuple[str | Text, ...]:
    counts = (str(queue.ready), str(queue.scheduled), str(queue.paused or ""), str(queue.running))
    return (queue.stage.value, *counts, _alert(queue.failed), age(queue.oldest_ready_at, now))


def _periodic_job(job: PeriodicJobStatus, now: datetime) -> tuple[str | Text, ...]:
    outcome = Text(f"{job.outcome}: {job.detail}" if job.detail else job.outcome)
    outcome.stylize("bold red" if job.outcome == "failed" else "")
    # A frequent job is recorded once a minute: its next run may be over.
    next_run = f"{job.next_at.astimezone():%H:%M:%S}" if job.next_at is not None and job.next_at > now else "soon"
    return (job.name, f"{job.role}, {job.host}", age(job.started_at, now), f"{job.duration_s:.2f} s", outcome, next_run)


def _alert(count: int) -> Text:
    return Text(str(count), style="bold red" if count else "")


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
