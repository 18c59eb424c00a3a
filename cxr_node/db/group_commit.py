"""Writes of several threads in one transaction: one flush of the disk for all that wait for it, and few statements.

Who comes while nobody writes begins at once and alone. Who comes meanwhile waits, and is written with all others that
did by the first of them when the one before has committed; nobody is told before the commit that holds their own.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

from cxr_node.domain.errors import RetryLater

_MOST = 64
"""Of one transaction: who wrote is waited for no longer than that takes."""

T = TypeVar("T")
W = TypeVar("W")


@dataclass(slots=True, eq=False)
class _PendingWrite:
    """What a thread wants written by what, and what became of it."""

    do_all: Callable[[Any, list[Any]], Sequence[Any]]
    what: Any
    turn: threading.Event = field(default_factory=threading.Event)
    is_done: bool = False
    result: Any = None
    error: BaseException | None = None

    def end(self, *, result: Any = None, error: BaseException | None = None) -> None:
        self.result, self.error, self.is_done = result, error, True


class GroupCommit:
    """Transactions that `write` opens, each for as many as wait. What is done in one may be done again in another."""

    def __init__(self, write: Callable[[], AbstractContextManager[Any]]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._waiting: list[_PendingWrite] = []
        self._is_busy = False

    def write(self, do_all: Callable[[Any, list[W]], Sequence[T]], what: W) -> T:
        """Have `do_all` do `what`, together with what else waits for it; return what it returns for that.

        Returns once the transaction is committed; raises what `do_all` or the commit raises.
        """
        wish = _PendingWrite(do_all, what)
        with self._lock:
            self._waiting.append(wish)
            leads, self._is_busy = not self._is_busy, True
        if not leads:
            wish.turn.wait()
        if not wish.is_done:
            self._commit_waiting()
        if wish.error is not None:
            raise wish.error
        result: T = wish.result
        return result

    def _commit_waiting(self) -> None:
        """Write what waits, and let the first of those that have come meanwhile go on."""
        with self._lock:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        try:
            self._commit(batch)
        finally:
            for wish in batch:
                wish.turn.set()
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._is_busy = following is not None
            if following is not None:
                following.turn.set()

    def _commit(self, batch: list[_PendingWrite]) -> None:
        try:
            with self._write() as transaction:
                results = [result for do_all, whats in _alike(batch) for result in do_all(transaction, whats)]
        except BaseException as error:  # noqa: BLE001  # each of them raises it, or tries alone
            self._commit_each(batch, error)
        else:
            for wish, result in zip(batch, results, strict=True):
                wish.end(result=result)

    def _commit_each(self, batch: list[_PendingWrite], error: BaseException) -> None:
        """Tell the error of one from what concerns all: a database that is away is not asked once for each."""
        if len(batch) == 1 or isinstance(error, RetryLater) or not isinstance(error, Exception):
            for wish in batch:
                wish.end(error=error)
            return
        for number, wish in enumerate(batch):
            self._commit([wish])
            if isinstance(wish.error, RetryLater):
                for other in batch[number + 1 :]:
                    other.end(error=wish.error)
                return


def _alike(batch: list[_PendingWrite]) -> Iterator[tuple[Callable[[Any, list[Any]], Sequence[Any]], list[Any]]]:
    """Yield what is done by the same, in order."""
    for do_all, wishes in groupby(batch, key=lambda wish: wish.do_all):
        yield do_all, [wish.what for wish in wishes]
