"""Claims of jobs at this moment."""

from datetime import datetime

from sqlalchemy import Connection, select

from cxr_node.db.states import State
from cxr_node.db.tables import job


def holders(connection: Connection, *, now: datetime) -> list[str]:
    """Return the names of the processes that hold a job whose lease has not expired."""
    held = select(job.c.lease_owner).where(job.c.state == State.RUNNING, job.c.lease_until > now).distinct()
    return sorted(connection.execute(held).scalars())
