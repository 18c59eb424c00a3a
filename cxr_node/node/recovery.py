"""What is put right before the first role works: the schema, and what a crash left."""

import logging

from cxr_node.jobs import fill, migrate, queue
from cxr_node.jobs.database import Database
from cxr_node.node import auditing, places
from cxr_node.node.roles import lease_owner_prefix
from cxr_node.settings.whole import Settings

_log = logging.getLogger(__name__)


def prepare(settings: Settings, database: Database) -> None:
    """Bring the database up to date and put right what a crash left; nobody else on this host may be working.

    Nodes of the version before may be, on other hosts: the schema grows first, in one piece, then rows are filled in.
    """
    migrate.upgrade(database)
    fill.fill_all(database)
    leftovers = places.archive(settings).clear_aside()
    with database.write() as transaction:
        released = queue.release(transaction, owner_prefix=lease_owner_prefix(settings), now=places.now())
    auditing.note_settings(settings)
    if leftovers or released:
        _log.warning("after a crash: %d half-written files removed, %d jobs put back", leftovers, released)
