"""What is put right before the first role works: the schema, and what a crash left."""

import logging

from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.queue import queue
from cxr_node.records import backfill
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit, process
from cxr_node.wiring.roles import lease_owner_prefix

_log = logging.getLogger(__name__)


def prepare(settings: Settings, database: Database) -> None:
    """Bring the database up to date and put right what a crash left; nobody else on this host may be working.

    Nodes of the version before may be, on other hosts: the schema grows first, in one piece, then rows are filled in.
    """
    migrate.upgrade(database)
    backfill.fill_all(database)
    leftovers = process.archive(settings).clear_staging()
    with database.write() as transaction:
        released = queue.release(transaction, owner_prefix=lease_owner_prefix(settings), now=process.now())
    audit.note_settings(settings)
    if leftovers or released:
        _log.warning("after a crash: %d half-written files removed, %d jobs put back", leftovers, released)
