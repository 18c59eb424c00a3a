"""Trends of the last days: films, films not analysed, turnaround and scores by group."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from cxr_node.db.states import State
from cxr_node.queries import not_analysed, quantiles, turnaround
from cxr_node.queries.grouping import GroupBy
from cxr_node.queries.scores import finding_scores
from cxr_node.queries.turnaround import FilmOutcome, film_outcomes

Row = dict[str, Any]


def trends(connection: Connection, *, days: int, by: GroupBy, now: datetime) -> Row:
    """Return films of the last days, those not analysed, turnaround and scores by group, and by day."""
    since = (now - timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
    films = film_outcomes(connection, by, since=since)
    return {
        "since": since,
        "by": by,
        "per_group": list(_per_group(films)),
        "per_day": list(_per_day(films)),
        "scores": [asdict(row) for row in finding_scores(connection, by, since=since)],
    }


def _per_group(films: Sequence[FilmOutcome]) -> Iterator[Row]:
    """Yield the counts and times of each group, most films not analysed first."""
    times = {row.group: asdict(row) for row in turnaround.by_group(films)}
    for count in not_analysed.by_group(films):
        yield {**times[count.group], **asdict(count)}


def _per_day(films: Sequence[FilmOutcome]) -> Iterator[Row]:
    groups: dict[tuple[str, str], list[FilmOutcome]] = {}
    for outcome in films:
        groups.setdefault((outcome.received_day, outcome.group), []).append(outcome)
    for (day, group), members in sorted(groups.items()):
        yield {
            "day": day,
            "group": group,
            "films": len(members),
            "not_analysed": sum(member.state == State.NOT_ANALYSED for member in members),
            **quantiles.seconds(sorted(member.total_s for member in members if member.total_s is not None)),
        }
