"""Database: transactions on SQLite or PostgreSQL."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from cxr_node.db.engine import read_only_engine, writing_engine
from cxr_node.db.errors import DatabaseDamaged, DatabaseUnavailable, Deadlock, StatementTimeout, WrongDatabase
from cxr_node.db.group_commit import GroupCommit
from cxr_node.db.held_file import HeldFile
from cxr_node.db.states import Stage
from cxr_node.db.url import sqlite_file

__all__ = [
    "CHANNEL",
    "Connection",
    "Database",
    "DatabaseDamaged",
    "DatabaseUnavailable",
    "Deadlock",
    "SQLAlchemyError",
    "StatementTimeout",
    "Transaction",
    "WrongDatabase",
]

CHANNEL = "cxr_node"
"""PostgreSQL notification channel: the payload is a stage that a commit has queued jobs for."""

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_QUERY_CANCELED = "57014"
"""SQLSTATE of PostgreSQL for a statement ended by its time-out."""
_DEADLOCK_DETECTED = "40P01"

T = TypeVar("T")
W = TypeVar("W")


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction, and the stages whose workers to notify after its commit."""

    connection: Connection
    notify: set[Stage] = field(default_factory=set)


class Database:
    """Transactions on one database. `on_commit` is called with each stage that a commit has queued jobs for.

    With `read_only` no connection can write, and a statement ends after `statement_timeout_s`.
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
        self._file: HeldFile | None = None
        if read_only:
            self.engine = read_only_engine(url, busy_timeout_s, statement_timeout_s)
        else:
            path = sqlite_file(url)
            self._file = None if path is None else HeldFile(path)
            self.engine = writing_engine(url, busy_timeout_s, self._file)
        self._on_commit = on_commit
        self._group_commit = GroupCommit(self)

    def write_grouped(self, write_all: Callable[[Transaction, list[W]], Sequence[T]], item: W) -> T:
        """Write `item` with `write_all`, in one transaction with what other threads write meanwhile: group commit.

        Raises
        ------
        DatabaseUnavailable
            As `write` does.
        """
        return self._group_commit.write(write_all, item)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction that may write; it is committed at the end of the block.

        Raises
        ------
        DatabaseUnavailable
            If the database is locked beyond the busy timeout, restarts or cannot be reached, is damaged, or its file
            was removed or replaced: then what was committed is not kept.
        """
        try:
            with self.engine.begin() as connection:
                transaction = Transaction(connection)
                yield transaction
                self._notify_hosts(transaction)
        except DBAPIError as error:
            raise _translated(error) from error
        self.check_file()
        for stage in transaction.notify:
            self._on_commit(stage)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read-only transaction on one snapshot of the database."""
        try:
            with self.engine.connect().execution_options(reads_only=True) as connection:
                yield connection
        except DBAPIError as error:
            raise _translated(error) from error

    @contextmanager
    def exclusive(self, task: str) -> Iterator[bool]:
        """Hold an advisory lock for `task` during the block; yield False if another host holds it.

        A SQLite database has one host, which always gets the lock.
        """
        if not self._is_postgresql:
            yield True
            return
        key = int.from_bytes(hashlib.sha256(task.encode()).digest()[:8], signed=True)
        try:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                is_locked = bool(connection.scalar(select(func.pg_try_advisory_lock(key))))
                try:
                    yield is_locked
                finally:
                    if is_locked:
                        connection.execute(select(func.pg_advisory_unlock(key)))
        except DBAPIError as error:
            raise _translated(error) from error

    def _notify_hosts(self, transaction: Transaction) -> None:
        """Send the stages to the other hosts; PostgreSQL delivers notifications at commit."""
        if self._is_postgresql:
            for stage in transaction.notify:
                transaction.connection.execute(select(func.pg_notify(CHANNEL, str(stage))))

    @property
    def _is_postgresql(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def check_file(self) -> None:
        """Raise WrongDatabase if the open SQLite file was removed, replaced or emptied."""
        if self._file is not None:
            self._file.check()

    def check_pages(self) -> None:
        """Raise DatabaseDamaged if the pages of a SQLite file do not fit together; reads the whole file."""
        if self._is_postgresql:
            return
        with self.read() as connection:
            if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
                raise DatabaseDamaged

    def save_open_file(self, path: Path) -> bool:
        """Copy a SQLite file that was removed or replaced while it was open to `path`; return whether it is there."""
        if self._file is None or not self._file.has_lost_its_name:
            return False
        try:
            with closing(self.engine.raw_connection()) as source, closing(sqlite3.connect(path)) as target:
                driver = source.driver_connection
                if not isinstance(driver, sqlite3.Connection):
                    return False
                driver.backup(target)
                (verdict,) = target.execute("PRAGMA quick_check(1)").fetchone()
        except (DatabaseUnavailable, SQLAlchemyError, sqlite3.Error):
            return False
        if verdict != "ok":
            return False
        self._file.remove_log()
        return True

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _translated(error: DBAPIError) -> Exception:
    """Return DatabaseUnavailable for a passing failure or damage, else the error itself. No message quotes values."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGE:
        return DatabaseDamaged()
    sqlstate = getattr(error.orig, "sqlstate", "")
    if sqlstate == _DEADLOCK_DETECTED:
        return Deadlock()
    if code == sqlite3.SQLITE_INTERRUPT or sqlstate == _QUERY_CANCELED:
        return StatementTimeout()
    is_passing = isinstance(error, OperationalError) or error.connection_invalidated
    return DatabaseUnavailable("database unavailable: no response, locked, or refused") if is_passing else error
