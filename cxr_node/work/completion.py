"""Completions: how a claimed job ended, to be recorded in a transaction."""

import logging
from collections.abc import Callable
from datetime import datetime

from cxr_node.db.database import Transaction
from cxr_node.domain.reasons import Reason
from cxr_node.queue import queue
from cxr_node.queue.claiming import Claim

_log = logging.getLogger(__name__)

Completion = Callable[[Transaction, datetime], None]
"""Records how a job ended, in the given transaction and at the given time."""


def finish(claim: Claim, detail: str = "") -> Completion:
    """Return the completion of a job that is done."""
    return lambda transaction, now: queue.finish(transaction, claim, now=now, detail=detail)


def retry(claim: Claim, *, due_at: datetime, detail: str) -> Completion:
    """Return the completion of a job that is due again at `due_at`."""
    return lambda transaction, now: queue.retry(transaction, claim, due_at=due_at, detail=detail, now=now)


def release_unattempted(claim: Claim, *, due_at: datetime, detail: str) -> Completion:
    """Return the completion of a job that was not attempted."""
    return lambda transaction, now: queue.release_unattempted(transaction, claim, due_at=due_at, detail=detail, now=now)


def fail_permanently(claim: Claim, reason: Reason | None, detail: str) -> Completion:
    """Return the completion of a job that a retry cannot help: it fails until an operator retries it."""
    _log.error("%s job %d failed permanently: %s", claim.stage, claim.job_id, detail)
    return lambda transaction, now: queue.give_up(transaction, claim, reason=reason, detail=detail, now=now)
