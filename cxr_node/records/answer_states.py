"""Whether peers that the node asks give answers: since when, and why not. Worklist managers, sources of prior films."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Table, delete, insert, select, update

from cxr_node.db.database import Database
from cxr_node.db.prior_tables import prior_source_state
from cxr_node.db.procedure_step_tables import worklist_state

PEERS: Mapping[str, Table] = {"worklist": worklist_state, "source": prior_source_state}
"""Table of the states of each kind of peer, by its column of names."""


def note(database: Database, kind: str, outcomes: Mapping[str, str], *, now: datetime) -> None:
    """Record for each peer that was asked why it gave no answer, "" if it did.

    Nothing is written where nothing has changed. The time is that of the first answer, or of the first failure.
    """
    if not outcomes:
        return
    table = PEERS[kind]
    name = table.c[kind]
    with database.read() as connection:
        before = {row[0]: row.detail for row in connection.execute(select(name, table.c.detail))}
    changed = {peer: detail for peer, detail in outcomes.items() if before.get(peer) != detail}
    if not changed:
        return
    with database.write() as transaction:
        for peer, detail in changed.items():
            if peer not in before:
                values = {kind: peer, "detail": detail, "since": now}
                transaction.connection.execute(insert(table).values(values))
            else:
                is_same = bool(before[peer]) == bool(detail)
                renewed = {"detail": detail} if is_same else {"detail": detail, "since": now}
                transaction.connection.execute(update(table).where(name == peer).values(renewed))


def forget_others(database: Database, kind: str, peers: Collection[str]) -> None:
    """Remove the states of peers that are not among `peers`, those of the settings."""
    table = PEERS[kind]
    name = table.c[kind]
    with database.read() as connection:
        known = set(connection.execute(select(name)).scalars())
    if not known <= set(peers):
        with database.write() as transaction:
            transaction.connection.execute(delete(table).where(name.not_in(list(peers))))
