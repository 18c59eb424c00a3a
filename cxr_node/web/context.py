"""What the page's process holds: the settings, the database to read from, and the one thing it may write."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, HTTPException, Request, status
from sqlalchemy import Connection

from cxr_node.db.database import Database
from cxr_node.ops import operator_log
from cxr_node.ops.operator_log import OperatorAction
from cxr_node.queue import queue
from cxr_node.settings.root import Settings
from cxr_node.web import queries
from cxr_node.web.access_audit import AccessAudit
from cxr_node.web.pictures import Pictures
from cxr_node.wiring import process

_KEPT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebContext:
    """The parts that pages need."""

    settings: Settings
    reads: Database
    writes: Database
    pictures: Pictures
    access_audit: AccessAudit
    trends: "Trends"

    @contextmanager
    def asked(self) -> Iterator[Connection]:
        """Open one read-only transaction."""
        with self.reads.read() as connection:
            yield connection

    def retry(self, job_id: int, *, by: str) -> list[int]:
        """Let an ended job run again, for a person; return its number in a list, empty if it had not ended."""
        actor = f"person/{by}"
        with self.writes.write() as transaction:
            moved = queue.requeue(transaction, [job_id], actor=actor, now=process.now())
        if moved:
            operator_log.record(
                self.settings, OperatorAction(by=actor, what="job queued again", subject=f"jobs/{job_id}")
            )
        return moved


class Trends:
    """Trends as they were less than a minute ago: they cost a look at every film of their days."""

    def __init__(self, reads: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._reads = reads
        self._clock = clock
        self._kept: dict[int, tuple[float, queries.Row]] = {}
        self._lock = threading.Lock()

    def of(self, days: int) -> queries.Row:
        """Return the trends of so many days."""
        with self._lock:
            at, said = self._kept.get(days, (self._clock() - _KEPT_S, {}))
            if self._clock() - at >= _KEPT_S:
                with self._reads.read() as connection:
                    said = queries.trends(connection, days=days, now=process.now())
                self._kept[days] = (self._clock(), said)
            return said


def _desk(request: Request) -> WebContext:
    desk: WebContext = request.app.state.desk
    return desk


InContext = Annotated[WebContext, Depends(_desk)]


T = TypeVar("T")


def or_404(found: T | None, what: str) -> T:
    """Return what was found, or answer 404."""
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no such {what}")
    return found
