"""Executor in one process that ends when it has had nothing to do for a while, and starts again at the next call."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Generic, Self

from cxr_node.domain.errors import ProcessDied
from cxr_node.process_pool.executor import Context, Item, Result
from cxr_node.process_pool.pool import ProcessPool

_CLOSING_S = 0.1


class IdleExecutor(Generic[Context]):
    """Executor in one worker process, which runs from the first call until `idle_s` after the last. One call at a time.

    Parameters
    ----------
    open_context, timeout_s, memory_bytes
        As of `ProcessPool`.
    """

    def __init__(
        self,
        open_context: Callable[[], AbstractContextManager[Context]],
        *,
        timeout_s: float,
        memory_bytes: int,
        idle_s: float,
    ) -> None:
        self._open_context = open_context
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._pool: ProcessPool[Context] | None = None
        self._is_closed = False
        self._timer: threading.Timer | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._pool is not None

    def map(self, call: Callable[[Context, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return `call(context, item)` for each item, in order; raise as `ProcessPool.map` does, also once closed."""
        with self._lock:
            if self._is_closed:
                raise ProcessDied("the process was closed")
            if self._timer is not None:
                self._timer.cancel()
            if self._pool is None:
                self._pool = ProcessPool(
                    1, self._open_context, timeout_s=self._timeout_s, memory_bytes=self._memory_bytes
                )
            try:
                return self._pool.map(call, items)
            finally:
                self._timer = threading.Timer(self._idle_s, self._end_if_idle)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """End the process, also within a call, which raises ProcessDied."""
        self._is_closed = True
        # A call that has just begun may start the process once more.
        while not self._lock.acquire(timeout=_CLOSING_S):
            if (pool := self._pool) is not None:
                pool.close()
        try:
            self._end()
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end_if_idle(self) -> None:
        with self._lock:
            # A call that held the lock meanwhile has started another timer.
            if self._timer is threading.current_thread():
                self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._pool is not None:
            self._pool.close()
        self._pool = self._timer = None
