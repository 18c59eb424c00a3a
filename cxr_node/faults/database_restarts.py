"""Database faults under load: PostgreSQL restarts, lost connections, serialization failures; a locked SQLite file."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from sqlalchemy.exc import SQLAlchemyError

from cxr_node.faults import scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.load import LoadGenerator, running, wait_for
from cxr_node.faults.node_process import NodePlan, node_process
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch import ScratchNode
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "database restarted, disconnected, locked under load"
_IDLE_TIMEOUT_S = 240.0
_LOCKED_S = 7.0
"""Longer than the node waits for a lock, which is 5 s in a scratch node."""
_LEVELS = ("serializable", "read committed")


def run(context: FaultContext) -> GroupResult:
    """Inject faults into the database of a node under load; check the ledger."""
    restarts, rng = context.amounts.restarts, context.rng(GROUP)
    group = GroupRun(context, GROUP)
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        destinations = {"pacs": scratch.to_pacs(pacs.port, confirm="find", confirm_again_s=1.0)}
        place = stack.enter_context(context.node("restarts", destinations=destinations))
        node = stack.enter_context(node_process(NodePlan(place=place)))
        load = LoadGenerator(films=context.films, stored=group.promised, next_film=70_000_000, port=node.port)
        load.reported_count = lambda: len(load.stored.keys() & pacs.by_study.keys())
        with running(load):
            for number in range(restarts):
                context.on_progress("database faults", number, restarts)
                threading.Event().wait(rng.uniform(0.3, 2.0))
                inject(context, place, number)
                before = len(load.stored)
                if not wait_for(lambda: len(load.stored) > before, 60.0):  # noqa: B023  # called within the iteration
                    group.problems.append(f"no film got Success within a minute after fault {number}")
        group.wait_until_idle(place, pacs, _IDLE_TIMEOUT_S)
        if node.stop() != 0:
            group.problems.append("the node did not stop cleanly")
        ledger = group.check_ledger(place, pacs)
    notes = (f"{load.rejected} rejected C-STORE requests, sent again", _faults_of(context))
    return group.result(ledger, faults=restarts, notes=notes, problems=pacs.changed)


def _faults_of(context: FaultContext) -> str:
    if context.kind == "sqlite":
        return f"the file was locked by another process for {_LOCKED_S:.0f} s each time"
    if context.server is None:
        return "an external server: only connections were ended"
    return "in turn: restart, crash of the server, every connection ended, isolation level changed"


def inject(context: FaultContext, place: ScratchNode, number: int) -> None:
    """Inject the fault of that number into the database, which is there again when this returns."""
    if context.kind == "sqlite":
        with _locked(place):
            threading.Event().wait(_LOCKED_S)
        return
    server = context.server
    match number % 4:
        case 0 if server is not None:
            server.restart()
        case 1 if server is not None:
            server.restart(mode="immediate")
        case 2 if server is not None:  # persistent, for a database role that only the suite uses
            _set_isolation_level(context.url, _LEVELS[(number // 4) % 2])
            _end_connections(context.url)
        case _:
            _end_connections(context.url)


@contextmanager
def _locked(place: ScratchNode) -> Iterator[None]:
    path = place.settings.node.data_folder / "node.db"
    connection = sqlite3.connect(path, isolation_level=None, timeout=30.0)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def _end_connections(url: str) -> None:
    _execute(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()",
    )


def _set_isolation_level(url: str, level: str) -> None:
    """Set the default isolation level of new connections of this role."""
    _execute(url, f"ALTER ROLE CURRENT_USER SET default_transaction_isolation = '{level}'")


def _execute(url: str, statement: str) -> None:
    with suppress(SQLAlchemyError):  # a server that has just started may close a connection
        scratch.execute(url, statement)
