"""Whether the managers of worklists answer: since when, and why not."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from cxr_node.db.database import Database
from cxr_node.db.procedure_step_tables import worklist_state


def note(database: Database, outcomes: Mapping[str, str], *, now: datetime) -> None:
    """Record for each worklist that was asked why it gave no answer, "" if it did; others are removed.

    Nothing is written where nothing has changed. The time is that of the first answer, or of the first failure.
    """
    with database.read() as connection:
        rows = connection.execute(select(worklist_state.c.worklist, worklist_state.c.detail))
        before = {row.worklist: row.detail for row in rows}
    if before == outcomes:
        return
    with database.write() as transaction:
        execute = transaction.connection.execute
        _forget_others(transaction.connection, outcomes)
        for name, detail in outcomes.items():
            if name not in before:
                execute(insert(worklist_state).values(worklist=name, detail=detail, since=now))
            elif before[name] != detail:
                is_same = bool(before[name]) == bool(detail)
                values = {"detail": detail} if is_same else {"detail": detail, "since": now}
                execute(update(worklist_state).where(worklist_state.c.worklist == name).values(values))


def _forget_others(connection: Connection, names: Collection[str]) -> None:
    connection.execute(delete(worklist_state).where(worklist_state.c.worklist.not_in(list(names))))
