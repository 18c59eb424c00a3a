"""The audit trail of a process: what is recorded is written at once, and nothing that fails here stops a film."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from cxr_node.audit.events import SECURITY_ALERT, USER_AUTHENTICATION
from cxr_node.audit.journal import Journal
from cxr_node.audit.message import Message, Outcome, Source, xml
from cxr_node.audit.repeats import Repeats

_log = logging.getLogger(__name__)

_FLUSH_S = 1.0
_HELD = 10_000
"""Messages that wait in memory while the disk does not take them: some 20 MB."""


class Trail:
    """Records messages, from any thread. Within its block they are on the disk a second later at most."""

    def __init__(self, journal: Journal, source: Source, *, clock: Callable[[], datetime]) -> None:
        self._journal = journal
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._repeats = Repeats()
        self._held: deque[str] = deque()
        self._lost = 0
        self._is_dirty = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="audit", daemon=True)

    def record(self, message: Message) -> None:
        """Write `message`; where the disk does not take it, keep it until it does. Never raises."""
        try:
            if self._came_too_often(message):
                return
            line = xml(message, self._source)
            with self._lock:
                self._write(line, message.at)
        except Exception as error:  # noqa: BLE001  # a fault of the trail's is no reason to refuse a film
            _log.error("a message of the audit trail is lost: %s", type(error).__name__)

    def tick(self) -> None:
        """Write what waits, count what came too often, and have all of it on the disk."""
        now = self._clock()
        with self._lock:
            for last, count in self._repeats.over(now):
                more = replace(last, at=now, description=f"{last.description}, and {count} more like it")
                self._write(xml(more, self._source), now)
            self._write_held(now)
            dirty, self._is_dirty = self._is_dirty, False
        if dirty:
            for day in {now.astimezone(UTC).date(), (now - timedelta(seconds=60)).astimezone(UTC).date()}:
                self._journal.flush(day=day)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._tick_safely()

    def _keep(self) -> None:
        while not self._stopping.wait(_FLUSH_S):
            self._tick_safely()

    def _tick_safely(self) -> None:
        try:
            self.tick()
        except OSError as error:
            _log.error("the audit trail cannot be flushed: %s", error.strerror)

    def _came_too_often(self, message: Message) -> bool:
        if not _is_alarm(message):
            return False
        with self._lock:
            return not self._repeats.admits(_kind(message), message)

    def _write(self, line: str, at: datetime) -> None:
        if len(self._held) >= _HELD:
            self._lost += 1
            return
        self._held.append(line)
        self._write_held(at)

    def _write_held(self, now: datetime) -> None:
        waited = len(self._held)
        day = now.astimezone(UTC).date()
        try:
            while self._held:
                self._journal.append(self._held[0], day=day)
                self._held.popleft()
                self._is_dirty = True
        except OSError as error:
            if waited <= 1:  # said once, not for each that waits
                _log.error("the audit trail cannot be written, what is recorded waits: %s", error.strerror or error)
            return
        if waited > 1:
            _log.warning("the audit trail is written again: %d messages had waited, %d were lost", waited, self._lost)
            self._lost = 0


def _is_alarm(message: Message) -> bool:
    return message.outcome is not Outcome.SUCCESS and message.event in (SECURITY_ALERT, USER_AUTHENTICATION)


def _kind(message: Message) -> str:
    """Return what messages have in common that are alike: what failed, and whose it was by address."""
    addresses = sorted(participant.address for participant in message.participants)
    return "\0".join((message.event.value, message.description, *addresses))
