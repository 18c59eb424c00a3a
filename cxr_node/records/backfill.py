"""Backfill: fills columns that nodes of the version before leave empty, after an upgrade and while both versions run.

A migration only adds columns that may be empty. Filling a large table inside it would block the queue, so a function
here fills a few thousand rows at a time (decision 0091).
"""

from collections.abc import Callable

from cxr_node.db.database import Database, Transaction

Backfill = Callable[[Transaction], int]
"""Fills one batch of rows and returns their number. It uses a partial index, so that nothing to fill costs one lookup,
and skips rows that another transaction has locked."""

BACKFILLS: tuple[Backfill, ...] = ()
"""The backfills of this version; none, as there is no version before."""


def fill(database: Database) -> int:
    """Fill one batch of each backfill, each in its own transaction; return the number of rows."""
    filled = 0
    for backfill in BACKFILLS:
        with database.write() as transaction:
            filled += backfill(transaction)
    return filled


def fill_all(database: Database) -> int:
    """Fill all rows, batch by batch, so that no other writer waits long; return their number."""
    filled = 0
    while batch := fill(database):
        filled += batch
    return filled
