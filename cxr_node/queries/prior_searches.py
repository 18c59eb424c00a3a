"""Searches for prior films at other archives and their sources, for overview, metrics and alarms."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from cxr_node.db.prior_tables import IS_WAITING, prior_search, prior_source_state


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSourceStatus:
    """A source of prior films: since when it answers, or does not; `trouble` says why, and is "" where it does.

    `fetched` prior films were fetched from it for searches begun since a time, the last at `last_fetched_at`.
    """

    source: str
    since: datetime
    trouble: str
    fetched: int
    last_fetched_at: datetime | None


def prior_sources(connection: Connection, *, since: datetime) -> tuple[PriorSourceStatus, ...]:
    """Return the sources that were asked, by name; films that were fetched are counted since a time."""
    counts = (
        select(prior_search.c.source, func.count(), func.max(prior_search.c.ended_at))
        .where(prior_search.c.created_at >= since, prior_search.c.fetched_film_id.is_not(None))
        .group_by(prior_search.c.source)
    )
    films_of = {source: (films, last) for source, films, last in connection.execute(counts)}
    states = connection.execute(select(prior_source_state).order_by(prior_source_state.c.source)).all()
    return tuple(
        PriorSourceStatus(
            source=row.source,
            since=row.since,
            trouble=row.detail,
            fetched=films_of.get(row.source, (0, None))[0],
            last_fetched_at=films_of.get(row.source, (0, None))[1],
        )
        for row in states
    )


def failing_since(connection: Connection) -> tuple[datetime, str] | None:
    """Return since when searches get no answer, and why the oldest got none; None if all were answered."""
    query = select(prior_search.c.created_at, prior_search.c.detail).where(IS_WAITING, prior_search.c.attempts > 0)
    row = connection.execute(query.order_by(prior_search.c.created_at).limit(1)).first()
    return None if row is None else (row.created_at, row.detail)


def count_by_state(connection: Connection, *, since: datetime) -> dict[str, int]:
    """Return the number of searches begun since a time, by state."""
    query = select(prior_search.c.state, func.count()).where(prior_search.c.created_at >= since)
    rows = connection.execute(query.group_by(prior_search.c.state)).all()
    return {str(state): int(count) for state, count in rows}
