"""Waiting without looking: the two threads of an association sleep until something is there for them.

In pynetdicom each of them looks a thousand times a second whether there is; two hundred idle associations then leave no
time for a modality that sends.
"""

import contextlib
import os
import select
import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

LONGEST_S = 0.5
"""After this time a thread looks all the same, for timers and for what nobody wakes it for."""


class Wakeup:
    """Wakes the thread that waits for a connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def ring(self) -> None:
        """End the wait under way, or else the next."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._descriptor >= 0:
                os.eventfd_write(self._descriptor, 1)

    def wait(self, connection: int, timeout_s: float) -> None:
        """Return when the descriptor `connection` has something to say, at a ring, or after `timeout_s`."""
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
        """Let go of the descriptor; ringing is then without effect."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        """Let go of it also where an association ended without closing its connection."""
        self.close()


def on_put(queue: "Queue[Any]", call: Callable[[], None]) -> None:
    """Call `call` whenever something has been put into `queue`."""
    put = queue.put

    def put_and_call(item: Any, block: bool = True, timeout: float | None = None) -> None:
        put(item, block, timeout)
        call()

    queue.put = put_and_call  # type: ignore[method-assign]  # pynetdicom makes the queues, and others hold them
