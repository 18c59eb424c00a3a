"""Audit trail of a process: writes messages at once; its failures never stop the processing of films."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Self

from cxr_node.audit.events import SECURITY_ALERT, USER_AUTHENTICATION
from cxr_node.audit.journal import Journal
from cxr_node.audit.message import AuditMessage, AuditSource, EventOutcome, xml
from cxr_node.domain.repeats import RepeatFilter

_log = logging.getLogger(__name__)

_FLUSH_S = 1.0
_MAXIMUM_QUEUED = 10_000
"""Messages in memory while the disk cannot be written: some 20 MB."""
_BATCH_MESSAGES = 256


class Trail:
    """Records messages. Thread-safe. Within its block they are flushed after at most a second."""

    def __init__(self, journal: Journal, source: AuditSource, *, clock: Callable[[], datetime]) -> None:
        self._journal = journal
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._repeats: RepeatFilter[AuditMessage] = RepeatFilter()
        self._queued: deque[str] = deque()
        self._lost = 0
        self._is_failing = False
        self._is_dirty = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def record(self, message: AuditMessage) -> None:
        """Write `message`, or queue it while writing fails. Never raises."""
        try:
            if self._is_suppressed(message):
                return
            self._enqueue(xml(message, self._source))
            with self._lock:
                self._write_queued(message.at)
        except Exception as error:  # noqa: BLE001  # a failure of the trail must not reject a film
            _log.error("audit message lost: %s", type(error).__name__)

    def tick(self) -> None:
        """Write queued messages and counts of suppressed ones, and flush."""
        now = self._clock()
        with self._lock:
            for last, count in self._repeats.ended(now):
                summary = replace(last, at=now, description=f"{last.description}, and {count} more like it")
                self._enqueue(xml(summary, self._source))
            self._write_queued(now)
            dirty, self._is_dirty = self._is_dirty, False
        if dirty:
            for day in {now.astimezone(UTC).date(), (now - timedelta(seconds=60)).astimezone(UTC).date()}:
                self._journal.flush(day=day)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._tick_safely()

    def _run(self) -> None:
        while not self._stopping.wait(_FLUSH_S):
            self._tick_safely()

    def _tick_safely(self) -> None:
        try:
            self.tick()
        except OSError as error:
            _log.error("audit trail cannot be flushed: %s", error.strerror)

    def _is_suppressed(self, message: AuditMessage) -> bool:
        if not _is_suppressible(message):
            return False
        with self._lock:
            return not self._repeats.admits(_repeat_key(message), message, at=message.at)

    def _enqueue(self, line: str) -> None:
        if len(self._queued) < _MAXIMUM_QUEUED:
            self._queued.append(line)
        else:
            self._lost += 1

    def _write_queued(self, now: datetime) -> None:
        """Write all queued messages (group commit: the first of concurrent callers writes all)."""
        while lines := self._next_batch():
            try:
                written = self._journal.append(lines, day=now.astimezone(UTC).date())
                reason = "" if written == len(lines) else "disk full"
            except OSError as error:
                written, reason = 0, error.strerror or str(error)
            self._is_dirty = self._is_dirty or written > 0
            if reason:
                self._queued.extendleft(reversed(lines[written:]))
                self._note_failure(reason)
                return
        self._note_success()

    def _next_batch(self) -> list[str]:
        batch: list[str] = []
        while self._queued and len(batch) < _BATCH_MESSAGES:
            batch.append(self._queued.popleft())
        return batch

    def _note_failure(self, reason: str) -> None:
        if not self._is_failing:  # logged once
            _log.error("audit trail cannot be written, messages are queued in memory: %s", reason)
        self._is_failing = True

    def _note_success(self) -> None:
        if self._is_failing:
            _log.warning("audit trail is written again, with all queued messages; %d messages were lost", self._lost)
        self._is_failing, self._lost = False, 0


def _is_suppressible(message: AuditMessage) -> bool:
    return message.outcome is not EventOutcome.SUCCESS and message.event in (SECURITY_ALERT, USER_AUTHENTICATION)


def _repeat_key(message: AuditMessage) -> str:
    """Return the key of repeated messages: event, description and addresses."""
    addresses = sorted(participant.address for participant in message.participants)
    return "\0".join((message.event.value, message.description, *addresses))
