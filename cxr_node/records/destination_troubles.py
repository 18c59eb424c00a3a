"""Destinations that are unreachable: since when, and why; a destination without a row was reachable when last tried."""

from datetime import datetime

from sqlalchemy import delete, insert, update

from cxr_node.db.database import Transaction
from cxr_node.db.tables import destination_trouble


def note(transaction: Transaction, destination: str, detail: str, *, now: datetime) -> None:
    """Record that a destination could not be reached, and why; the time of the first failure is kept."""
    is_destination = destination_trouble.c.destination == destination
    updated = transaction.connection.execute(
        update(destination_trouble).where(is_destination).values(detail=detail, failed_at=now)
    )
    if not updated.rowcount:
        transaction.connection.execute(
            insert(destination_trouble).values(destination=destination, detail=detail, since=now, failed_at=now)
        )


def clear(transaction: Transaction, destination: str) -> None:
    """Record that a destination is reachable."""
    transaction.connection.execute(delete(destination_trouble).where(destination_trouble.c.destination == destination))
