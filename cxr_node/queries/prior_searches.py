"""Searches for prior films at other archives, for metrics and alarms."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from cxr_node.db.prior_tables import IS_WAITING, prior_search


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
