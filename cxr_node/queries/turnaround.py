"""Turnaround of films: seconds from reception to the first delivered result, by group."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from cxr_node.queries import quantiles
from cxr_node.queries.grouping import UNKNOWN, GroupBy, grouped
from cxr_node.queries.views.registry import VIEWS


class FilmOutcome(NamedTuple):
    """What became of a film, from v1_turnaround, and its group."""

    group: str
    received_day: str
    state: str
    reason: str | None
    total_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turnaround:
    """Films of a group, how many of them have a delivered result, and quantiles of the seconds those took."""

    group: str
    films: int
    reported: int
    p50_s: float | None
    p90_s: float | None
    p95_s: float | None
    p99_s: float | None
    longest_s: float | None


def film_outcomes(
    connection: Connection, by: GroupBy, *, since: datetime | None, until: datetime | None = None
) -> list[FilmOutcome]:
    """Return the outcome of each film received from `since` on and before `until`."""
    view = VIEWS["v1_turnaround"].selectable
    query = select(view.c[by.column], *(view.c[name] for name in FilmOutcome._fields[1:]))
    if since is not None:
        query = query.where(view.c.received_at >= since)
    if until is not None:
        query = query.where(view.c.received_at < until)
    return [FilmOutcome(group or UNKNOWN, *others) for group, *others in connection.execute(query).all()]


def by_group(films: Sequence[FilmOutcome]) -> list[Turnaround]:
    """Return the turnaround of each group, and of all films last."""
    groups = grouped(films, lambda film: film.group)
    total = [("all", films)] if films else []
    return [_turnaround(name, members) for name, members in [*groups.items(), *total]]


def _turnaround(group: str, films: Sequence[FilmOutcome]) -> Turnaround:
    seconds = sorted(film.total_s for film in films if film.total_s is not None)
    return Turnaround(
        group=group,
        films=len(films),
        reported=len(seconds),
        longest_s=seconds[-1] if seconds else None,
        **quantiles.seconds(seconds),
    )
