"""Group commit: concurrent writes of several threads in one transaction, with one flush and few statements.

A write that finds no commit in progress starts at once, alone. Writes that arrive during a commit wait; when it ends,
the thread of the first of them writes them all. A call returns only after the commit that holds its own write.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol, TypeVar

from cxr_node.domain.errors import RetryLater

_BATCH_SIZE = 64
"""Writes in one transaction: a limit on how long the thread that writes them works for the others."""

T = TypeVar("T")
W = TypeVar("W")


class Writable(Protocol):
    """A database with transactions."""

    def write(self) -> AbstractContextManager[Any]:
        """Open a transaction that is committed at the end of the block."""


@dataclass(slots=True, eq=False)
class _PendingWrite:
    """A thread's item with the function that writes it, and its outcome."""

    write_all: Callable[[Any, list[Any]], Sequence[Any]]
    item: Any
    wake: threading.Event = field(default_factory=threading.Event)
    is_done: bool = False
    result: Any = None
    error: BaseException | None = None

    def end(self, *, result: Any = None, error: BaseException | None = None) -> None:
        self.result, self.error, self.is_done = result, error, True


class GroupCommit:
    """Writes items in shared transactions. A write may be rolled back with others and repeated in a new transaction."""

    def __init__(self, database: Writable) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: list[_PendingWrite] = []
        self._is_busy = False

    def write(self, write_all: Callable[[Any, list[W]], Sequence[T]], item: W) -> T:
        """Write `item` together with waiting items; return its element of what `write_all` returns.

        Returns after the commit; raises what `write_all` or the commit raises.
        """
        pending = _PendingWrite(write_all, item)
        with self._lock:
            self._waiting.append(pending)
            is_first, self._is_busy = not self._is_busy, True
        if not is_first:
            pending.wake.wait()
        if not pending.is_done:
            self._commit_waiting()
        if pending.error is not None:
            raise pending.error
        result: T = pending.result
        return result

    def _commit_waiting(self) -> None:
        """Write one batch, then wake its threads and the first of those that have arrived meanwhile."""
        with self._lock:
            batch, self._waiting = self._waiting[:_BATCH_SIZE], self._waiting[_BATCH_SIZE:]
        try:
            self._commit(batch)
        finally:
            for pending in batch:
                pending.wake.set()
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._is_busy = following is not None
            if following is not None:
                following.wake.set()

    def _commit(self, batch: list[_PendingWrite]) -> None:
        try:
            with self._database.write() as transaction:
                results = [result for write_all, items in _grouped(batch) for result in write_all(transaction, items)]
        except BaseException as error:  # noqa: BLE001  # raised in each thread, or each write is repeated alone
            self._commit_each(batch, error)
        else:
            for pending, result in zip(batch, results, strict=True):
                pending.end(result=result)

    def _commit_each(self, batch: list[_PendingWrite], error: BaseException) -> None:
        """Repeat each write alone, so that one faulty item fails alone. An unavailable database fails all at once."""
        if len(batch) == 1 or isinstance(error, RetryLater) or not isinstance(error, Exception):
            for pending in batch:
                pending.end(error=error)
            return
        for number, pending in enumerate(batch):
            self._commit([pending])
            if isinstance(pending.error, RetryLater):
                for other in batch[number + 1 :]:
                    other.end(error=pending.error)
                return


def _grouped(batch: list[_PendingWrite]) -> Iterator[tuple[Callable[[Any, list[Any]], Sequence[Any]], list[Any]]]:
    """Yield each function with its consecutive items, in order."""
    for write_all, writes in groupby(batch, key=lambda pending: pending.write_all):
        yield write_all, [pending.item for pending in writes]
