"""Rejected associations, connections and objects of each host: one row for each calling AE title and reason."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from cxr_node.db.database import Transaction
from cxr_node.db.monitoring_tables import rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejections:
    """Rejections of a calling AE title for a reason; `address` is that of the last one.

    The title is empty where there is none, and for peers beyond those that are counted by title.
    """

    calling_ae_title: str
    reason: str
    address: str
    rejections: int
    first_at: datetime
    last_at: datetime


def write(transaction: Transaction, host: str, rows: Iterable[Rejections]) -> None:
    """Write the counts of a host, in place of those before."""
    connection = transaction.connection
    columns = (rejection.c.calling_ae_title, rejection.c.reason, rejection.c.id)
    known = {
        (title, reason): number
        for title, reason, number in connection.execute(select(*columns).where(rejection.c.host == host))
    }
    for row in rows:
        number = known.get((row.calling_ae_title, row.reason))
        if number is None:
            connection.execute(insert(rejection).values(host=host, **asdict(row)))
        else:
            connection.execute(update(rejection).where(rejection.c.id == number).values(asdict(row)))
