"""Turnaround of films: seconds from reception to the first delivered result, by day or by sender."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, select

from cxr_node.queries.overview import quantile
from cxr_node.queries.views.registry import VIEWS


class FilmOutcome(NamedTuple):
    """Columns of v1_turnaround for one film."""

    calling_ae_title: str
    received_day: str
    state: str
    reason: str | None
    total_s: float | None


class GroupBy(StrEnum):
    """What turnaround is grouped by."""

    DAY = "day"
    SENDER = "sender"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turnaround:
    """Films of a group, how many of them have a delivered result, and quantiles of the seconds those took."""

    group: str
    films: int
    reported: int
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    longest_s: float | None


def film_outcomes(connection: Connection, *, since: datetime | None, until: datetime | None) -> list[FilmOutcome]:
    """Return the outcome of each film received from `since` on and before `until`."""
    view = VIEWS["v1_turnaround"].selectable
    query = select(*(view.c[name] for name in FilmOutcome._fields))
    if since is not None:
        query = query.where(view.c.received_at >= since)
    if until is not None:
        query = query.where(view.c.received_at < until)
    return [FilmOutcome(*row) for row in connection.execute(query)]


def by_group(films: Sequence[FilmOutcome], group_by: GroupBy) -> list[Turnaround]:
    """Return the turnaround of each day or sender, and of all films last."""
    groups: dict[str, list[FilmOutcome]] = {}
    for film in films:
        name = film.received_day if group_by is GroupBy.DAY else film.calling_ae_title
        groups.setdefault(name, []).append(film)
    total = [("all", films)] if films else []
    return [_turnaround(name, members) for name, members in [*sorted(groups.items()), *total]]


def _turnaround(group: str, films: Sequence[FilmOutcome]) -> Turnaround:
    seconds = sorted(film.total_s for film in films if film.total_s is not None)
    return Turnaround(
        group=group,
        films=len(films),
        reported=len(seconds),
        p50_s=quantile(seconds, 0.50),
        p90_s=quantile(seconds, 0.90),
        p99_s=quantile(seconds, 0.99),
        longest_s=seconds[-1] if seconds else None,
    )
