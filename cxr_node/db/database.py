"""One database, SQLite or PostgreSQL: its engine and its transactions."""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from cxr_node.db.group_commit import GroupCommit
from cxr_node.db.states import Stage
from cxr_node.domain.errors import RetryLater

CHANNEL = "cxr_node"
"""Where PostgreSQL tells the stages that a commit gave work to."""


READ_ONLY_SETTINGS = {
    "timezone": "UTC",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
"""How PostgreSQL is to treat who asks: a look at an index costs little, as on any disk without an arm, or it would
read whole tables to answer for a week; no question is long enough to be compiled; and none takes more than one core,
or the queue beside it would be slower."""


T = TypeVar("T")
W = TypeVar("W")


class DatabaseUnavailable(RetryLater):
    """The database is locked, restarting or out of reach; what was being written is rolled back."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction, and the stages whose workers are to be woken once it is committed."""

    connection: Connection
    notify: set[Stage] = field(default_factory=set)


class Database:
    """Transactions on one database. `ring` is called with each stage that a commit gave work to.

    One that is opened read-only cannot write, whatever is asked of it, and gives up what takes longer than `at_most_s`.
    """

    def __init__(
        self,
        url: str,
        *,
        busy_timeout_s: float = 30.0,
        on_commit: Callable[[Stage], None] = lambda _: None,
        read_only: bool = False,
        statement_timeout_s: float | None = None,
    ) -> None:
        self.engine = (
            _read_only_engine(url, busy_timeout_s, statement_timeout_s) if read_only else _engine(url, busy_timeout_s)
        )
        self._on_commit = on_commit
        self._group_commit = GroupCommit(lambda: self.write())  # noqa: PLW0108  # looked up each time: it may be exchanged

    def write_grouped(self, do_all: Callable[[Transaction, list[W]], Sequence[T]], what: W) -> T:
        """Have `do_all` write `what` in a transaction shared with what others bring meanwhile; see `SharedCommits`.

        Raises
        ------
        DatabaseAway
            As `write` does.
        """
        return self._group_commit.write(do_all, what)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction that may write; it is committed at the end of the block.

        Raises
        ------
        DatabaseAway
            If the database is locked beyond the busy timeout, restarts or cannot be reached.
        """
        try:
            with self.engine.begin() as connection:
                transaction = Transaction(connection)
                yield transaction
                self._notify_hosts(transaction)
        except DBAPIError as error:
            raise _sorted(error) from error
        for stage in transaction.notify:
            self._on_commit(stage)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads, and sees one state of the database."""
        try:
            with self.engine.connect().execution_options(reads_only=True) as connection:
                yield connection
        except DBAPIError as error:
            raise _sorted(error) from error

    @contextmanager
    def exclusive(self, what: str) -> Iterator[bool]:
        """Say whether no other host does `what` while the block lasts; SQLite has no other hosts."""
        if not self._has_hosts:
            yield True
            return
        key = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], signed=True)
        try:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                got = bool(connection.scalar(select(func.pg_try_advisory_lock(key))))
                try:
                    yield got
                finally:
                    if got:
                        connection.execute(select(func.pg_advisory_unlock(key)))
        except DBAPIError as error:
            raise _sorted(error) from error

    def _notify_hosts(self, transaction: Transaction) -> None:
        """Tell other hosts, when this transaction is committed, which stages have work."""
        if self._has_hosts:
            for stage in transaction.notify:
                transaction.connection.execute(select(func.pg_notify(CHANNEL, str(stage))))

    @property
    def _has_hosts(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _sorted(error: DBAPIError) -> Exception:
    """Tell a passing trouble from a fault of ours. Statement parameters are left out of the sentence."""
    transient = isinstance(error, OperationalError) or error.connection_invalidated
    return DatabaseUnavailable(f"database away: {type(error.orig).__name__}") if transient else error


def _engine(url: str, busy_timeout_s: float) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": busy_timeout_s}, hide_parameters=True)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _beginning(busy_timeout_s))
        return engine
    options = " ".join((*parsed.normalized_query.get("options", ()), _IN_ORDER))
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        connect_args={"options": options},
        pool_size=5,
        hide_parameters=True,
    )
    event.listen(engine, "checkin", _note_idle)
    event.listen(engine, "checkout", _ask_if_idle(engine))
    return engine


_IDLE_S = 1.0
_IN_ORDER = "-c enable_sort=off"
"""For PostgreSQL: who works reads an index in its order wherever there is one.

Before it has counted anew, which it does when a tenth of a table has changed, it takes few jobs to be waiting. It would
sort all that are, thousands after an outage, to find the one whose turn is next.
"""


def _note_idle(_: object, record: ConnectionPoolEntry) -> None:
    record.info["idle_since"] = time.monotonic()


def _ask_if_idle(engine: Engine) -> Callable[[Any, ConnectionPoolEntry, object], None]:
    """Return what asks a connection that has been idle whether it is alive: a round trip that saves a failed job.

    One that was at work a moment ago is not asked, or a queue that is busy would spend a fifth of its time on that.
    """

    def ask(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() - record.info.get("idle_since", time.monotonic()) < _IDLE_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    return ask


def read_only_url(url: str) -> str:
    """Return the URL of a database file that SQLite opens without being able to write; others are as they are."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return url
    return parsed.set(database=f"file:{parsed.database}", query={"mode": "ro", "uri": "true"}).render_as_string(
        hide_password=False
    )


def _read_only_engine(url: str, busy_timeout_s: float, at_most_s: float | None) -> Engine:
    parsed = make_url(read_only_url(url))
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": busy_timeout_s}, hide_parameters=True)
        event.listen(engine, "connect", _forbid_writing)
        event.listen(engine, "begin", _begin_reading(at_most_s))
        return engine
    options = " ".join(
        ["-c default_transaction_read_only=on", *(f"-c {name}={value}" for name, value in READ_ONLY_SETTINGS.items())]
    )
    if at_most_s is not None:
        options += f" -c statement_timeout={int(at_most_s * 1000)}"
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        connect_args={"options": options},
        pool_pre_ping=True,
        pool_size=5,
        hide_parameters=True,
    )


def _forbid_writing(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")


def _begin_reading(at_most_s: float | None) -> Callable[[Connection], None]:
    """Return what begins a transaction that SQLite ends by itself when it has taken too long."""

    def begin(connection: Connection) -> None:
        if at_most_s is not None:
            ends = time.monotonic() + at_most_s
            driver = connection.connection.driver_connection
            if isinstance(driver, sqlite3.Connection):
                driver.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
        connection.exec_driver_sql("BEGIN")

    return begin


_STEPS = 10_000
"""Instructions of SQLite's machine, some 0.1 ms, between two looks at the clock."""


def _configure_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    # The driver would otherwise begin transactions by itself, too late and without IMMEDIATE.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


_LOOK_S = 0.001


def _beginning(busy_timeout_s: float) -> Callable[[Connection], None]:
    """Return what begins a transaction; one that writes waits for its turn."""

    def begin(connection: Connection) -> None:
        options: dict[str, Any] = dict(connection.get_execution_options())
        driver = connection.connection.driver_connection
        if options.get("reads_only") or not isinstance(driver, sqlite3.Connection):
            connection.exec_driver_sql("BEGIN")
            return
        # SQLite's own wait looks ever more seldom, down to ten times a second, and whoever comes last goes first.
        driver.execute("PRAGMA busy_timeout=0")
        try:
            if not _got_write_lock(driver, until=time.monotonic() + busy_timeout_s):
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # which says what is in the way
        finally:
            driver.execute(f"PRAGMA busy_timeout={round(busy_timeout_s * 1000)}")

    return begin


def _got_write_lock(driver: sqlite3.Connection, *, until: float) -> bool:
    # A transaction that reads first and writes later fails at once when another wrote in between,
    # whatever the busy timeout says; one that takes the write lock at its start waits instead.
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                return False
            time.sleep(_LOOK_S)
        else:
            return True
