"""Work that a person has paused: reading, or deliveries to a destination. Every host obeys; a restart keeps it."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from cxr_node.db.database import Transaction
from cxr_node.db.states import Stage
from cxr_node.db.tables import pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause of a stage; of deliveries, those to `destination`, which is empty for reading."""

    stage: Stage
    destination: str
    note: str
    paused_by: str
    paused_at: datetime


def add(transaction: Transaction, stage: Stage, destination: str, *, by: str, note: str = "", now: datetime) -> bool:
    """Pause a stage or destination; return False if it is paused already. Jobs that run go on to their end."""
    if _exists(transaction.connection, stage, destination):
        return False
    values = {"stage": stage, "destination": destination, "note": note, "paused_by": by, "paused_at": now}
    transaction.connection.execute(insert(pause).values(values))
    return True


def end(transaction: Transaction, stage: Stage, destination: str, *, now: datetime) -> int | None:
    """Resume a stage or destination; return the number of its waiting jobs, or None if it is not paused."""
    is_same = (pause.c.stage == stage, pause.c.destination == destination)
    ended = transaction.connection.execute(delete(pause).where(*is_same).returning(pause.c.id)).first()
    if ended is None:
        return None
    from cxr_node.queue import queue  # commands that look read the pauses alone

    return queue.restart_waiting(transaction, stage, destination=destination, now=now)


def present(connection: Connection) -> list[Pause]:
    """Return the pauses, the oldest first."""
    columns = (pause.c[field.name] for field in fields(Pause))
    rows = connection.execute(select(*columns).order_by(pause.c.id)).mappings()
    return [Pause(**{**row, "stage": Stage(row["stage"])}) for row in rows]


def _exists(connection: Connection, stage: Stage, destination: str) -> bool:
    is_same = (pause.c.stage == stage, pause.c.destination == destination)
    return connection.execute(select(pause.c.id).where(*is_same)).first() is not None
