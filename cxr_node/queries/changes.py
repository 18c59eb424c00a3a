"""Changes of jobs since an event: each change of a job's state writes one row of `job_event`."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from cxr_node.db.tables import job, job_event


class JobEvent(NamedTuple):
    """Number and time of an event."""

    event_id: int
    at: datetime


class ChangedJob(NamedTuple):
    """An event, and the study of its job; none for a storage commitment request."""

    event_id: int
    study_id: int | None


def newest_event(connection: Connection) -> JobEvent | None:
    """Return the newest event; None if there is none."""
    row = connection.execute(select(job_event.c.id, job_event.c.at).order_by(job_event.c.id.desc()).limit(1)).first()
    return None if row is None else JobEvent(*row)


def changed_jobs(connection: Connection, *, after: int, limit: int) -> list[ChangedJob]:
    """Return events with a number above `after`, oldest first."""
    rows = connection.execute(
        select(job_event.c.id, job.c.of_study_id)
        .join(job, job.c.id == job_event.c.job_id)
        .where(job_event.c.id > after)
        .order_by(job_event.c.id)
        .limit(limit)
    )
    return [ChangedJob(*row) for row in rows]
