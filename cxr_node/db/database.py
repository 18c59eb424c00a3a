"""Database: transactions on SQLite or PostgreSQL."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from cxr_node.db.engine import read_only_engine, writing_engine
from cxr_node.db.group_commit import GroupCommit
from cxr_node.db.states import Stage
from cxr_node.domain.errors import RetryLater

__all__ = ["CHANNEL", "Connection", "Database", "DatabaseUnavailable", "SQLAlchemyError", "Transaction"]

CHANNEL = "cxr_node"
"""PostgreSQL notification channel: the payload is a stage that a commit has queued jobs for."""

T = TypeVar("T")
W = TypeVar("W")


class DatabaseUnavailable(RetryLater):
    """The database is locked, restarting or unreachable; the transaction is rolled back."""


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
        if read_only:
            self.engine = read_only_engine(url, busy_timeout_s, statement_timeout_s)
        else:
            self.engine = writing_engine(url, busy_timeout_s)
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
            If the database is locked beyond the busy timeout, restarts or cannot be reached.
        """
        try:
            with self.engine.begin() as connection:
                transaction = Transaction(connection)
                yield transaction
                self._notify_hosts(transaction)
        except DBAPIError as error:
            raise _translated(error) from error
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

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _translated(error: DBAPIError) -> Exception:
    """Return DatabaseUnavailable for a passing failure, else the error itself. The message quotes no parameters."""
    is_passing = isinstance(error, OperationalError) or error.connection_invalidated
    return DatabaseUnavailable("database unavailable: no response, locked, or refused") if is_passing else error
