"""Start-up of a host: checks and migrates the database, and recovers from a crash."""

import logging

from cxr_node.db import migrate
from cxr_node.queue import queue
from cxr_node.records import answer_states, backfill
from cxr_node.wiring import audit, database_guard
from cxr_node.wiring.process import Process
from cxr_node.wiring.role_names import lease_owner_prefix

_log = logging.getLogger(__name__)


def prepare(process: Process) -> None:
    """Check and migrate the database, remove staging files, release jobs of this host. No role may run on this host.

    Nodes of the previous version may run on other hosts: the schema is extended in one transaction, then rows are
    backfilled.

    Raises
    ------
    DatabaseUnavailable
        If the database is unreachable, damaged, or not the one that the kept films are recorded in.
    TooNew
        If its schema is of a newer version that this one cannot work with.
    """
    settings, database = process.settings, process.database
    database_guard.check_start(process)
    migrate.upgrade(database)
    backfill.fill_all(database)
    leftovers = process.archive.clear_staging()
    process.reduced_films.remove_old(older_than_s=0.0)
    with database.write() as transaction:
        released = queue.release(transaction, owner_prefix=lease_owner_prefix(settings), now=process.clock())
    answer_states.forget_others(database, "worklist", [row.name for row in settings.ups.worklists])
    answer_states.forget_others(database, "source", [row.name for row in settings.priors.sources])
    audit.note_settings(settings, process.clock)
    if leftovers or released:
        _log.warning("recovered from a crash: %d staging files removed, %d jobs released", leftovers, released)
