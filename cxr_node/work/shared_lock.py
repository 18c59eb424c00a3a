"""Jobs that run at the same time in one process, and one that must run alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """Those who run `among` others, and at times one `alone`, for whom the others are waited for and wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._present = 0
        self._is_taken = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Run beside others; wait while one is alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_taken)
            self._present += 1
        try:
            yield
        finally:
            with self._changed:
                self._present -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait for the others to end, and keep them waiting."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_taken)
            self._is_taken = True
            self._changed.wait_for(lambda: not self._present)
        try:
            yield
        finally:
            with self._changed:
                self._is_taken = False
                self._changed.notify_all()
