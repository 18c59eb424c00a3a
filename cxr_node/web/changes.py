"""What changed in the node since the last look, as topics that parts of pages name."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cxr_node.db.database import Database, DatabaseUnavailable
from cxr_node.queries import changes

ALL = "all"
"""Topic of every part: more changed than is listed."""
JOBS = "jobs"
"""A film was received, or a job of any stage changed its state."""
HEALTH = "health"
"""The health line changed."""

_LARGEST = 500
"""Most events whose studies are listed; beyond, everything counts as changed."""
_OVERLAP = 5
"""Queries for which an event that was committed late is still found.

PostgreSQL numbers events before their commit, so that a lower number may appear after a higher one.
"""
_NO_EVENT = changes.JobEvent(0, datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Topics that changed; number and time of the newest job event (0 and the year 1 without one)."""

    topics: frozenset[str]
    newest: int
    changed_at: datetime


def study_topic(study_id: int) -> str:
    """Return the topic of the films, jobs and results of a study."""
    return f"study-{study_id}"


class ChangeDetector:
    """Finds changes by queries of the database; each call returns those since the call before.

    The cost of a call depends on the number of events since then. Used by one thread at a time.
    """

    def __init__(self, database: Database, health: Callable[[], object]) -> None:
        self._database = database
        self._health = health
        self._last_health: object = None
        self._newest: deque[int] = deque(maxlen=_OVERLAP)
        self._seen: frozenset[int] = frozenset()

    def find(self) -> Changes:
        """Return what changed since the last call; nothing at the first.

        While the database does not respond only the health line changes, and no event is lost to a later call.
        """
        topics = self._changed_health()
        try:
            with self._database.read() as connection:
                newest = changes.newest_event(connection) or _NO_EVENT
                after = self._newest[0] if self._newest else newest.event_id
                rows = changes.changed_jobs(connection, after=after, limit=_LARGEST + 1)
        except DatabaseUnavailable:
            return Changes(topics=topics, newest=self._newest[-1] if self._newest else 0, changed_at=_NO_EVENT.at)
        topics |= self._changed_jobs(rows)
        self._seen = frozenset(row.event_id for row in rows)
        if len(rows) > _LARGEST:
            self._newest.clear()
        self._newest.append(newest.event_id)
        return Changes(topics=topics, newest=newest.event_id, changed_at=newest.at)

    def _changed_health(self) -> frozenset[str]:
        last, self._last_health = self._last_health, self._health()
        return frozenset() if last is None or last == self._last_health else frozenset({HEALTH})

    def _changed_jobs(self, rows: list[changes.ChangedJob]) -> frozenset[str]:
        if len(rows) > _LARGEST:
            return frozenset({ALL})
        new = [row for row in rows if row.event_id not in self._seen]
        studies = frozenset(study_topic(row.study_id) for row in new if row.study_id is not None)
        return studies | {JOBS} if new else studies
