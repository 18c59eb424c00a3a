"""Retry of ended jobs by an operator, one or many in one action; command line and page use the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from cxr_node.db.database import Connection
from cxr_node.db.row_ids import RowIds
from cxr_node.db.states import ENDED
from cxr_node.ops import batches, operator_log
from cxr_node.queue import queue, search
from cxr_node.queue.search import JobGroup
from cxr_node.wiring.process import Process

MOST = 2000
"""Jobs that a request may name by their numbers."""
_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlan:
    """What a retry would do: the jobs that are queued again, and those that have not ended and stay as they are."""

    ended: tuple[JobGroup, ...]
    not_ended: tuple[JobGroup, ...]

    @property
    def jobs(self) -> int:
        """Number of jobs that are queued again."""
        return sum(group.jobs for group in self.ended)


def plan(connection: Connection, job_ids: RowIds) -> RetryPlan:
    """Return what a retry of these jobs would do."""
    groups = search.groups(connection, job_ids)
    return RetryPlan(
        ended=tuple(group for group in groups if group.state in ENDED),
        not_ended=tuple(group for group in groups if group.state not in ENDED),
    )


def job_ids(connection: Connection, chosen: RowIds) -> list[int]:
    """Return the numbers of jobs in ascending order; of a query those that it finds now."""
    return search.job_ids(connection, chosen)


def retry(process: Process, job_ids: Sequence[int], *, by: str = "") -> list[int]:
    """Queue ended jobs again, and record it; return the numbers of those that had ended.

    Each transaction queues a few hundred. If it ends early, what was queued until then is recorded.

    Parameters
    ----------
    by
        The actor, by default the user of the command line.
    """
    actor = by or operator_log.operator_name()
    requeued: list[int] = []
    try:
        for start in range(0, len(job_ids), batches.ROWS):
            with process.database.write() as transaction:
                batch = job_ids[start : start + batches.ROWS]
                moved = queue.requeue(transaction, batch, actor=actor, now=process.clock())
            requeued += moved
    finally:
        _record(process, sorted(requeued), by=actor)
    return sorted(requeued)


def _record(process: Process, requeued: Sequence[int], *, by: str) -> None:
    if len(requeued) == 1:
        operator_log.record(process, "job queued again", subject=f"jobs/{requeued[0]}", by=by)
    elif requeued:
        listed = ", ".join(str(job_id) for job_id in requeued[:_LISTED])
        more = " and others" if len(requeued) > _LISTED else ""
        what = f"{len(requeued)} jobs queued again: {listed}{more}"
        operator_log.record(process, what, subject="jobs", by=by)
