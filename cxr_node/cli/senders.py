"""`cxr-node senders` and `cxr-node times`: who sends films that are not analysed, and how long reports take."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.table import Table
from sqlalchemy import select

from cxr_node.cli.database import AT_MOST_S, reading
from cxr_node.cli.query import moment
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, explained, out
from cxr_node.db.states import State
from cxr_node.domain.reasons import Reason
from cxr_node.queries.overview import quantile
from cxr_node.queries.views import VIEWS

Since = Annotated[str, typer.Option(help="From this time on: 2026-01-31, 2026-01-31T12:00, or 24h, 7d ago.")]
Until = Annotated[
    str, typer.Option(help="Before this time; the films of a week: --since 2026-01-26 --until 2026-02-02.")
]
AtMost = Annotated[float, typer.Option("--at-most", min=0.1, help="Give up after this many seconds.")]


class Told(NamedTuple):
    """What is asked of each film: columns of v1_turnaround."""

    calling_ae_title: str
    received_day: str
    state: str
    reason: str | None
    total_s: float | None


class By(StrEnum):
    """What times are told apart by."""

    DAY = "day"
    SENDER = "sender"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A sender's films: how many, how many of them are not analysed or failed, and why, the most frequent first."""

    calling_ae_title: str
    films: int
    not_analysed: int
    failed: int
    reasons: dict[str, int]

    @property
    def share(self) -> float:
        """The part of the films that is not analysed."""
        return self.not_analysed / self.films


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Films, how many of them have been reported to a destination, and seconds from film to report of those."""

    of: str
    films: int
    reported: int
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    longest_s: float | None


def senders(
    since: Since = "7d",
    until: Until = "",
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    at_most_s: AtMost = AT_MOST_S,
) -> None:
    """Say which device sends most films that are not analysed, and why they are not; the last 7 days by default."""
    with explained():
        found = of_senders(_rows(path, moment(since), moment(until), at_most_s))
    if as_json:
        typer.echo(json.dumps([asdict(each) | {"share": each.share} for each in found], indent=2))
        return
    table = Table("sender", "films", "not analysed", "share", "failed", "why")
    for each in found:
        why = "; ".join(f"{films} {_meaning(reason)}" for reason, films in each.reasons.items())
        table.add_row(
            each.calling_ae_title, str(each.films), str(each.not_analysed), f"{each.share:.0%}", str(each.failed), why
        )
    out.print(table if found else "no film was received in this time")


def times(
    since: Since = "7d",
    until: Until = "",
    by: Annotated[By, typer.Option(help="What times are told apart by.")] = By.DAY,
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    at_most_s: AtMost = AT_MOST_S,
) -> None:
    """Say how long it took from film to report, in seconds; the last 7 days by default, day by day (UTC)."""
    with explained():
        found = of_times(_rows(path, moment(since), moment(until), at_most_s), by)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    table = Table(by.value, "films", "reported", "half within", "90 % within", "99 % within", "longest")
    for each in found:
        seconds = (each.p50_s, each.p90_s, each.p99_s, each.longest_s)
        table.add_row(each.of, str(each.films), str(each.reported), *(_said(value) for value in seconds))
    out.print(table if found else "no film was received in this time")


def of_senders(rows: Iterable[Told]) -> list[Sender]:
    """Return each sender's films, who has most that are not analysed first."""
    groups: dict[str, list[Told]] = {}
    for row in rows:
        groups.setdefault(row.calling_ae_title, []).append(row)
    found = [
        Sender(
            calling_ae_title=title,
            films=len(members),
            not_analysed=sum(row.state == State.NOT_ANALYSED for row in members),
            failed=sum(row.state == State.FAILED for row in members),
            reasons=dict(Counter(row.reason for row in members if row.reason).most_common()),
        )
        for title, members in groups.items()
    ]
    return sorted(found, key=lambda each: (-each.not_analysed, -each.films, each.calling_ae_title))


def of_times(rows: Sequence[Told], by: By) -> list[Times]:
    """Return the times of each day or sender, and those of all at the end."""
    groups: dict[str, list[Told]] = {}
    for row in rows:
        groups.setdefault(row.received_day if by is By.DAY else row.calling_ae_title, []).append(row)
    return [_times(of, members) for of, members in [*sorted(groups.items()), *([("all", rows)] if rows else [])]]


def _times(of: str, rows: Sequence[Told]) -> Times:
    seconds = sorted(row.total_s for row in rows if row.total_s is not None)
    return Times(
        of=of,
        films=len(rows),
        reported=len(seconds),
        p50_s=quantile(seconds, 0.50),
        p90_s=quantile(seconds, 0.90),
        p99_s=quantile(seconds, 0.99),
        longest_s=seconds[-1] if seconds else None,
    )


def _rows(path: Path, since: datetime | None, until: datetime | None, at_most_s: float) -> Sequence[Told]:
    of = VIEWS["v1_turnaround"].selectable
    asked = select(*(of.c[name] for name in Told._fields))
    if since is not None:
        asked = asked.where(of.c.received_at >= since)
    if until is not None:
        asked = asked.where(of.c.received_at < until)
    with reading(path, at_most_s=at_most_s) as connection:
        return [Told(*row) for row in connection.execute(asked)]


def _meaning(reason: str) -> str:
    try:
        return Reason(reason).meaning
    except ValueError:
        return reason


def _said(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s"
