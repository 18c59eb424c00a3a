"""A PostgreSQL that restarts in mid-transaction, loses connections, cannot serialize; an SQLite that is locked."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.load import Load, flowing, wait_for
from cxr_node.faults.node_process import Plan, life
from cxr_node.faults.outcome import Outcome
from cxr_node.faults.scratch import Place
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "database restarted, cut off, locked under load"
_REST_S = 240.0
_LOCKED_S = 7.0
"""Longer than the node waits for a lock, which is 5 s in a scratch node."""
_LEVELS = ("serializable", "read committed")


def run(bench: FaultContext) -> Outcome:
    """Injure the database of a node under load again and again; draw the balance."""
    restarts, chance = bench.amounts.restarts, bench.chance(GROUP)
    problems: list[str] = []
    with ExitStack() as stack:
        seconds, pacs = stack.enter_context(stopwatch()), stack.enter_context(SimulatedPacs())
        place = scratch.place(
            bench.folder / "restarts",
            receives=bench.receives,
            database_url=stack.enter_context(bench.database_url()),
            destinations={"pacs": scratch.to_pacs(pacs.port, confirm="find", confirm_again_s=1.0)},
        )
        node = stack.enter_context(life(Plan(place=place)))
        traffic = Load(films=bench.films, offered=70_000_000, port=node.port)
        traffic.arrived = lambda: len(traffic.stored.keys() & pacs.by_study.keys())
        with flowing(traffic):
            for number in range(restarts):
                bench.tell("injuries of the database", number, restarts)
                threading.Event().wait(chance.uniform(0.3, 2.0))
                _injure(bench, place, number)
                before = len(traffic.stored)
                if not wait_for(lambda: len(traffic.stored) > before, 60.0):  # noqa: B023  # called within the turn
                    problems.append(f"no film got Success within a minute after injury {number}")
        done = wait_for(
            lambda: traffic.stored.keys() <= pacs.by_study.keys() and ledger_check.is_at_rest(place.settings), _REST_S
        )
        if not done:
            problems.append(f"not at rest after {_REST_S:.0f} s")
        if node.stop() != 0:
            problems.append("the node did not stop in order")
        drawn = ledger_check.drawn(place.settings, traffic.stored, pacs.by_study)
    return Outcome(
        group=GROUP,
        database=bench.kind,
        faults=restarts,
        films=drawn.films,
        confirmed=drawn.confirmed,
        lost=len(drawn.lost),
        doubled=len(drawn.doubled),
        problems=(*problems, *drawn.problems, *pacs.changed),
        notes=(f"{traffic.refused} times a film was refused meanwhile and sent again", _what(bench)),
        seconds=seconds(),
    )


def _what(bench: FaultContext) -> str:
    if bench.kind == "sqlite":
        return f"the file was locked by another process for {_LOCKED_S:.0f} s each time"
    if bench.server is None:
        return "the server is not the suite's: connections were ended, nothing else"
    return "in turn: restart, crash of the server, every connection ended, transactions made serializable and back"


def _injure(bench: FaultContext, place: Place, number: int) -> None:
    if bench.kind == "sqlite":
        with _locked(place):
            threading.Event().wait(_LOCKED_S)
        return
    server = bench.server
    match number % 4:
        case 0 if server is not None:
            server.restart()
        case 1 if server is not None:
            server.restart(mode="immediate")
        case 2 if server is not None:  # of a role that is the suite's own: it stays so
            _serializable(bench.url, _LEVELS[(number // 4) % 2])
            _end_connections(bench.url)
        case _:
            _end_connections(bench.url)


@contextmanager
def _locked(place: Place) -> Iterator[None]:
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


def _serializable(url: str, level: str) -> None:
    """Let new connections of this role begin their transactions at another isolation level."""
    _execute(url, f"ALTER ROLE CURRENT_USER SET default_transaction_isolation = '{level}'")


def _execute(url: str, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    except SQLAlchemyError:  # a server that has just started may hang up once
        return
    finally:
        engine.dispose()
