"""Warnings about peers, with a bound on repeated ones, so that a flood of connections cannot fill the log."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from cxr_node.domain.repeats import RepeatFilter


class LimitedLog:
    """Writes warnings to `log`. Thread-safe.

    Above ten a minute for one key further ones are counted, and logged as one line with the next warning after that
    minute.
    """

    def __init__(self, log: logging.Logger, *, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._repeats: RepeatFilter[str] = RepeatFilter()

    def warn(self, key: tuple[str, str], line: str) -> None:
        """Write a warning, unless there were too many with its key."""
        now = self._clock()
        with self._lock:
            self._write_suppressed(self._repeats.ended(now))
            is_admitted = self._repeats.admits("\0".join(key), line, at=now)
        if is_admitted:
            self._log.warning("%s", line)

    def close(self) -> None:
        """Write the counts of suppressed warnings."""
        with self._lock:
            self._write_suppressed(self._repeats.all())

    def _write_suppressed(self, suppressed: list[tuple[str, int]]) -> None:
        for line, count in suppressed:
            self._log.warning("%s, and %d more like it", line, count)
