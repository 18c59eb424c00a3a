"""Completions: how a claimed job ended, to be recorded in a transaction; kept while the database is unavailable."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import ForbiddenTransition
from cxr_node.domain.reasons import Reason
from cxr_node.queue import queue
from cxr_node.queue.claiming import Claim

_log = logging.getLogger(__name__)

Completion = Callable[[Transaction, datetime], None]
"""Records how a job ended, in the given transaction and at the given time."""


def finish(claim: Claim, detail: str = "") -> Completion:
    """Return the completion of a job that is done."""
    return lambda transaction, now: queue.finish(transaction, claim, now=now, detail=detail)


def retry(claim: Claim, *, due_at: datetime, detail: str, has_crashed: bool = False) -> Completion:
    """Return the completion of a job that is due again at `due_at`."""
    return lambda transaction, now: queue.retry(
        transaction, claim, due_at=due_at, detail=detail, has_crashed=has_crashed, now=now
    )


def release_unattempted(claim: Claim, *, due_at: datetime, detail: str) -> Completion:
    """Return the completion of a job that was not attempted."""
    return lambda transaction, now: queue.release_unattempted(transaction, claim, due_at=due_at, detail=detail, now=now)


def fail_permanently(claim: Claim, reason: Reason | None, detail: str) -> Completion:
    """Return the completion of a job that a retry cannot help: it fails until an operator retries it."""
    _log.error("%s job %d failed permanently: %s", claim.stage, claim.job_id, detail)
    return lambda transaction, now: queue.give_up(transaction, claim, reason=reason, detail=detail, now=now)


class CompletionBuffer:
    """Completions of a worker's claims, oldest first."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._entries: list[tuple[Claim, Completion]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, claims: Sequence[Claim], completions: Sequence[Completion]) -> None:
        """Add the completion of each claim."""
        self._entries += zip(claims, completions, strict=True)

    def clear(self) -> None:
        """Forget all completions: they are committed."""
        self._entries.clear()

    def record_in(self, transaction: Transaction) -> None:
        """Record all completions in a transaction; `clear` after its commit.

        Raises
        ------
        ForbiddenTransition
            If the lease of one of the jobs expired. Then nothing may be committed.
        """
        for _, completion in self._entries:
            completion(transaction, self._clock())

    def record(self) -> None:
        """Record all completions in one commit, or one by one if a lease expired.

        Raises
        ------
        RetryLater
            If the database is unavailable. Completions not yet recorded stay.
        """
        if len(self) > 1 and self._record_in_one_commit():
            return
        while self._entries:
            claim, completion = self._entries[0]
            try:
                with self._database.write() as transaction:
                    completion(transaction, self._clock())
            except ForbiddenTransition as error:
                # The lease expired and another worker has the job; its result is the same.
                _log.warning("job %d: %s", claim.job_id, error)
            del self._entries[0]

    def _record_in_one_commit(self) -> bool:
        try:
            with self._database.write() as transaction:
                self.record_in(transaction)
        except ForbiddenTransition:
            return False
        self.clear()
        return True
