"""What the page's process holds: the settings, the database to read from, and the one thing it may write."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, HTTPException, Request, status
from sqlalchemy import Connection

from cxr_node.admin import changes
from cxr_node.admin.changes import Change
from cxr_node.admin.web.pictures import Pictures
from cxr_node.admin.web.witness import Witness
from cxr_node.jobs import queue
from cxr_node.jobs.database import Database
from cxr_node.node import places
from cxr_node.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The parts that pages need."""

    settings: Settings
    reads: Database
    writes: Database
    pictures: Pictures
    witness: Witness

    @contextmanager
    def asked(self) -> Iterator[Connection]:
        """Open one read-only transaction."""
        with self.reads.read() as connection:
            yield connection

    def retry(self, job_id: int, *, by: str) -> list[int]:
        """Let an ended job run again, for a person; return its number in a list, empty if it had not ended."""
        actor = f"person/{by}"
        with self.writes.write() as transaction:
            moved = queue.requeue(transaction, [job_id], actor=actor, now=places.now())
        if moved:
            changes.record(self.settings, Change(by=actor, what="job queued again", subject=f"jobs/{job_id}"))
        return moved


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(_desk)]


T = TypeVar("T")


def there(found: T | None, what: str) -> T:
    """Return what was found, or answer 404."""
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no such {what}")
    return found
