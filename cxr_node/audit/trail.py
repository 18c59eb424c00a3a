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
_TOGETHER = 256


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
        self._is_failing = False
        self._is_dirty = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="audit", daemon=True)

    def record(self, message: Message) -> None:
        """Write `message`; where the disk does not take it, keep it until it does. Never raises."""
        try:
            if self._came_too_often(message):
                return
            self._hold(xml(message, self._source))
            with self._lock:
                self._write_held(message.at)
        except Exception as error:  # noqa: BLE001  # a fault of the trail's is no reason to refuse a film
            _log.error("a message of the audit trail is lost: %s", type(error).__name__)

    def tick(self) -> None:
        """Write what waits, count what came too often, and have all of it on the disk."""
        now = self._clock()
        with self._lock:
            for last, count in self._repeats.over(now):
                more = replace(last, at=now, description=f"{last.description}, and {count} more like it")
                self._hold(xml(more, self._source))
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

    def _hold(self, line: str) -> None:
        if len(self._held) < _HELD:
            self._held.append(line)
        else:
            self._lost += 1

    def _write_held(self, now: datetime) -> None:
        """Write what is held, whoever held it: those that come together find theirs written by the first."""
        while lines := self._taken():
            try:
                written = self._journal.append(lines, day=now.astimezone(UTC).date())
                why = "" if written == len(lines) else "it took less than a message"
            except OSError as error:
                written, why = 0, error.strerror or str(error)
            self._is_dirty = self._is_dirty or written > 0
            if why:
                self._held.extendleft(reversed(lines[written:]))
                self._fails(why)
                return
        self._works()

    def _taken(self) -> list[str]:
        taken: list[str] = []
        while self._held and len(taken) < _TOGETHER:
            taken.append(self._held.popleft())
        return taken

    def _fails(self, why: str) -> None:
        if not self._is_failing:  # said once, not for each that waits
            _log.error("the audit trail cannot be written, what is recorded waits: %s", why)
        self._is_failing = True

    def _works(self) -> None:
        if self._is_failing:
            _log.warning("the audit trail is written again, all that had waited; %d messages were lost", self._lost)
        self._is_failing, self._lost = False, 0


def _is_alarm(message: Message) -> bool:
    return message.outcome is not Outcome.SUCCESS and message.event in (SECURITY_ALERT, USER_AUTHENTICATION)


def _kind(message: Message) -> str:
    """Return what messages have in common that are alike: what failed, and whose it was by address."""
    addresses = sorted(participant.address for participant in message.participants)
    return "\0".join((message.event.value, message.description, *addresses))
