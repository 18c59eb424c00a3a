"""SQLAlchemy engines for SQLite and PostgreSQL, with write access or read-only."""

import sqlite3
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from cxr_node.db import json_text
from cxr_node.db.held_file import HeldFile
from cxr_node.db.url import read_only_url

READ_ONLY_SETTINGS = {
    "timezone": "UTC",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
"""PostgreSQL settings for read-only queries.

`random_page_cost` 1.1: as for SSDs, so that a query of a week uses an index. JIT off: queries are too short to gain
from it. No parallel workers: they would take CPU from the queue (decision 0102).
"""

_WORKER_SETTINGS = "-c enable_sort=off"
"""PostgreSQL options of workers: read an index in order instead of sorting.

Until autovacuum analyses the table again, after a tenth of it has changed, the planner expects few waiting jobs. It
would sort all of them, thousands after an outage, to find the first in claim order.
"""

_JSON = {"json_serializer": json_text.dumps, "json_deserializer": json_text.loads}

_IDLE_S = 1.0
"""Idle time after which a connection is pinged before use."""
_LOCK_POLL_S = 0.001
"""Interval between two attempts to get SQLite's write lock."""
_PROGRESS_STEPS = 10_000
"""SQLite virtual machine instructions between two checks of the deadline, about 0.1 ms."""


def writing_engine(url: str, busy_timeout_s: float, file: HeldFile | None = None) -> Engine:
    """Return an engine whose SQLite transactions take the write lock at their start; `file` is SQLite's."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": busy_timeout_s}, hide_parameters=True, **_JSON)
        event.listen(engine, "connect", _configure_sqlite)
        if file is not None:
            event.listen(engine, "connect", lambda _connection, _record: file.hold())
        event.listen(engine, "begin", _begin_writing(busy_timeout_s))
        return engine
    options = " ".join((*parsed.normalized_query.get("options", ()), _WORKER_SETTINGS))
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        connect_args={"options": options},
        pool_size=5,
        hide_parameters=True,
        **_JSON,
    )
    event.listen(engine, "checkin", _note_idle)
    event.listen(engine, "checkout", _ping_if_idle(engine))
    return engine


def read_only_engine(url: str, busy_timeout_s: float, statement_timeout_s: float | None) -> Engine:
    """Return an engine whose connections cannot write, and whose statements end after `statement_timeout_s`."""
    parsed = make_url(read_only_url(url))
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": busy_timeout_s}, hide_parameters=True, **_JSON)
        event.listen(engine, "connect", _forbid_writing)
        event.listen(engine, "begin", _begin_reading(statement_timeout_s))
        return engine
    settings = {"default_transaction_read_only": "on", **READ_ONLY_SETTINGS}
    if statement_timeout_s is not None:
        settings["statement_timeout"] = str(int(statement_timeout_s * 1000))
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        connect_args={"options": " ".join(f"-c {name}={value}" for name, value in settings.items())},
        pool_pre_ping=True,
        pool_size=5,
        hide_parameters=True,
        **_JSON,
    )


def _note_idle(_: object, record: ConnectionPoolEntry) -> None:
    record.info["idle_since"] = time.monotonic()


def _ping_if_idle(engine: Engine) -> Callable[[Any, ConnectionPoolEntry, object], None]:
    """Return a listener that pings a connection after idle time: a lost connection would fail a job.

    A connection in steady use is not pinged: a busy queue would spend a fifth of its time on round trips.
    """

    def ping(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() - record.info.get("idle_since", time.monotonic()) < _IDLE_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    return ping


def _forbid_writing(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")


def _begin_reading(statement_timeout_s: float | None) -> Callable[[Connection], None]:
    """Return a listener that begins a transaction and sets the deadline of its statements."""

    def begin(connection: Connection) -> None:
        if statement_timeout_s is not None:
            deadline = time.monotonic() + statement_timeout_s
            driver = connection.connection.driver_connection
            if isinstance(driver, sqlite3.Connection):
                driver.set_progress_handler(lambda: time.monotonic() > deadline, _PROGRESS_STEPS)
        connection.exec_driver_sql("BEGIN")

    return begin


def _configure_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    # The driver would otherwise begin transactions itself, too late and without IMMEDIATE.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_writing(busy_timeout_s: float) -> Callable[[Connection], None]:
    """Return a listener that begins a transaction, with the write lock unless it only reads."""

    def begin(connection: Connection) -> None:
        options: dict[str, Any] = dict(connection.get_execution_options())
        driver = connection.connection.driver_connection
        if options.get("reads_only") or not isinstance(driver, sqlite3.Connection):
            connection.exec_driver_sql("BEGIN")
            return
        # SQLite's busy handler backs off to ten attempts a second and is unfair: the newest waiter often wins.
        driver.execute("PRAGMA busy_timeout=0")
        try:
            if not _lock_for_writing(driver, until=time.monotonic() + busy_timeout_s):
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises the error
        finally:
            driver.execute(f"PRAGMA busy_timeout={round(busy_timeout_s * 1000)}")

    return begin


def _lock_for_writing(driver: sqlite3.Connection, *, until: float) -> bool:
    # A transaction that reads first and writes later fails at once if another has written meanwhile, whatever the
    # busy timeout. One that takes the write lock at its start waits instead.
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                return False
            time.sleep(_LOCK_POLL_S)
        else:
            return True
