"""`cxr-node status`: how it stands with the node, on one screen."""

import json
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cxr_node import config
from cxr_node.archive import space
from cxr_node.cli.database import reading_database
from cxr_node.cli.terminal import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.ops.formatting import age
from cxr_node.queries import overview
from cxr_node.queries.overview import Overview, StageStatus
from cxr_node.wiring import rejection_counters
from cxr_node.wiring.process import utc_now


def status(
    path: ConfigOption = DEFAULT_CONFIG,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show it anew every --every seconds.")] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.2, help="Seconds between two looks.")] = 2.0,
    as_json: JsonOption = False,
) -> None:
    """Show queues, senders, destinations and times on one screen. Exit status 1 if something failed."""
    with reporting_errors():
        found = _overview(path)
        if as_json:
            typer.echo(json.dumps(plain(found), indent=2))
        elif watch:
            with Live(_screen(found, path), console=out, screen=out.is_terminal, auto_refresh=False) as shown:
                while True:
                    time.sleep(every_s)
                    found = _overview(path)
                    shown.update(_screen(found, path), refresh=True)
        else:
            out.print(_screen(found, path))
    if any(queue.failed for queue in found.queues):
        raise typer.Exit(EXIT_FAILED)


def plain(found: Overview) -> dict[str, Any]:
    """Return an overview for programs."""
    said: dict[str, Any] = json.loads(json.dumps(asdict(found), default=_text))
    return said


def _overview(path: Path) -> Overview:
    with reading_database(path) as connection:
        return overview.overview(connection, now=utc_now())


def _screen(found: Overview, path: Path) -> RenderableType:
    queues = Table("stage", "due", "later", "running", "failed", "oldest due", title="queues", title_justify="left")
    for each in found.queues:
        queues.add_row(*_queue(each, found.at))
    outlets = Table("destination", "waiting", "failed", "oldest", "last delivered", title_justify="left")
    for outlet in found.outlets:
        outlets.add_row(
            outlet.destination,
            str(outlet.waiting),
            _alert(outlet.failed),
            age(outlet.oldest_at, found.at),
            age(outlet.last_delivered_at, found.at),
        )
    senders = Table("sender", "films in 24 h", "not analysed", "last film", title_justify="left")
    for sender in found.senders:
        last = age(sender.last_received_at, found.at)
        senders.add_row(sender.calling_ae_title, str(sender.films), str(sender.not_analysed), last)
    parts: list[RenderableType] = [Text(_header(found, path)), queues]
    parts += [table for table, rows in ((outlets, found.outlets), (senders, found.senders)) if rows]
    refused = rejection_counters.counts(config.load(path))
    if refused:
        said = (f"{sender or 'unnamed'} {reason} {times}" for (sender, reason), times in refused.items())
        parts.append(Text("refused at the door, ever: " + ", ".join(said)))
    if found.reasons:
        parts.append(Text("not analysed: " + ", ".join(f"{why} {films}" for why, films in found.reasons.items())))
    return Group(*parts)


def _header(found: Overview, path: Path) -> str:
    settings = config.load(path)
    free = space.free_bytes(settings.node.data_folder) if settings.node.data_folder.is_dir() else 0
    times = found.turnaround
    took = (
        f"film to report p50 {times.p50_s:.1f} s, p99 {times.p99_s:.1f} s"
        if times.p50_s is not None and times.p99_s is not None
        else "no report delivered in 24 h"
    )
    last = f"last {age(found.last_received_at, found.at)} ago" if found.last_received_at else "none yet"
    return (
        f"{settings.node.name} at {found.at.astimezone():%Y-%m-%d %H:%M:%S}\n"
        f"films: {found.films_last_hour} in the last hour, {found.films_recent} in 24 h, {last}\n"
        f"{took}; {free / 1e9:.1f} GB free"
    )


def _queue(queue: StageStatus, now: datetime) -> tuple[str | Text, ...]:
    counts = (str(queue.due), str(queue.later), str(queue.running))
    return (queue.stage.value, *counts, _alert(queue.failed), age(queue.oldest_due_at, now))


def _alert(count: int) -> Text:
    return Text(str(count), style="bold red" if count else "")


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
