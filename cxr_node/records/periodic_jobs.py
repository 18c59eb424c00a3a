"""Last run of each periodic job, one row for each host and role."""

from datetime import datetime

from sqlalchemy import delete, insert, update

from cxr_node.db.database import Transaction
from cxr_node.db.monitoring_tables import periodic_job


def store(
    transaction: Transaction,
    name: str,
    *,
    host: str,
    role: str,
    started_at: datetime,
    duration_s: float,
    outcome: str,
    detail: str,
    next_at: datetime | None,
) -> None:
    """Replace the last run of a job."""
    key = {"name": name, "host": host, "role": role}
    values = {
        "started_at": started_at,
        "duration_s": duration_s,
        "outcome": outcome,
        "detail": detail,
        "next_at": next_at,
    }
    same = [periodic_job.c[column] == value for column, value in key.items()]
    if not transaction.connection.execute(update(periodic_job).where(*same).values(values)).rowcount:
        transaction.connection.execute(insert(periodic_job).values(**key, **values))


def forget_others(transaction: Transaction, names: frozenset[str], *, host: str, role: str) -> None:
    """Delete the rows of jobs that this role of a host no longer has."""
    transaction.connection.execute(
        delete(periodic_job).where(
            periodic_job.c.host == host, periodic_job.c.role == role, periodic_job.c.name.not_in(names)
        )
    )
