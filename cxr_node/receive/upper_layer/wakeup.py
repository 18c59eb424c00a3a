"""Wake-ups instead of polling for the two threads of an association.

pynetdicom polls in each of them a thousand times a second; two hundred idle associations then use all CPU time.
"""

import contextlib
import os
import select
import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

POLL_INTERVAL_S = 0.5
"""Longest wait without a wake-up: timers are checked this often."""


class Wakeup:
    """Wakes the thread that waits for a connection, by an eventfd."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor = -1
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def wake(self) -> None:
        """End the current wait, or else the next."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._descriptor >= 0:
                os.eventfd_write(self._descriptor, 1)

    def wait(self, connection: int, timeout_s: float) -> None:
        """Return when the descriptor `connection` is readable, at a wake-up, or after `timeout_s`."""
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        if self._descriptor >= 0:
            poll.register(self._descriptor, select.POLLIN)
        if all(descriptor == connection for descriptor, _ in poll.poll(1000 * timeout_s)):
            return
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._descriptor >= 0:
                os.eventfd_read(self._descriptor)

    def close(self) -> None:
        """Close the eventfd; `wake` then has no effect."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        """Close the eventfd where an association ended without closing its connection."""
        self.close()


def on_put(queue: "Queue[Any]", callback: Callable[[], None]) -> None:
    """Call `callback` after each `queue.put`."""
    put = queue.put

    def put_and_notify(item: Any, block: bool = True, timeout: float | None = None) -> None:
        put(item, block, timeout)
        callback()

    queue.put = put_and_notify  # type: ignore[method-assign]  # pynetdicom creates the queues and holds references
