"""Writes to many rows in short transactions, each recorded in log and audit trail as one change."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from cxr_node.db.database import Connection, Transaction
from cxr_node.ops import operator_log
from cxr_node.wiring.process import Process

Reads = Callable[[], AbstractContextManager[Connection]]
"""Opens a read-only transaction, with or without a time-out of its statements."""
ROWS = 500
"""Rows of one transaction: other writers wait for no longer one."""


def write_in_batches(
    process: Process,
    ids: Sequence[int],
    write: Callable[[Transaction, Sequence[int]], int],
    *,
    sentence: Callable[[int], str],
    subject: str,
    by: str,
) -> int:
    """Write to rows in transactions of `ROWS`; return how many were changed, also recorded if a batch fails.

    Parameters
    ----------
    write
        Changes the rows of a batch, and returns how many it changed.
    sentence, subject, by
        What is recorded of a number of changed rows, of what, and the actor.
    """
    changed = 0
    try:
        for start in range(0, len(ids), ROWS):
            with process.database.write() as transaction:
                changed += write(transaction, ids[start : start + ROWS])
    finally:
        if changed:
            operator_log.record(process, sentence(changed), subject=subject, by=by)
    return changed
