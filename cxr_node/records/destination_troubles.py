"""Destinations that are unreachable: since when, and why.

A process that ends leaves its note: one that is older than a delivery to the destination counts no more.
"""

from datetime import datetime

from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from cxr_node.db.database import Transaction
from cxr_node.db.tables import delivery, destination_trouble

HOLDS = ~exists().where(
    delivery.c.destination == destination_trouble.c.destination,
    delivery.c.delivered_at > destination_trouble.c.failed_at,
)
"""Whether nothing was delivered since the failure."""


def note(transaction: Transaction, destination: str, detail: str, *, now: datetime) -> None:
    """Record that a destination could not be reached, and why; the time of the first failure is kept."""
    connection = transaction.connection
    is_destination = destination_trouble.c.destination == destination
    since = connection.execute(select(destination_trouble.c.since).where(is_destination, HOLDS)).scalar()
    values = {"detail": detail, "since": since or now, "failed_at": now}
    renewal = update(destination_trouble).where(is_destination).values(values)
    if connection.execute(renewal).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(destination_trouble).values(destination=destination, **values))
    except IntegrityError:  # another sender to the same destination has noted it meanwhile
        connection.execute(renewal)


def clear(transaction: Transaction, destination: str) -> None:
    """Record that a destination is reachable."""
    transaction.connection.execute(delete(destination_trouble).where(destination_trouble.c.destination == destination))
