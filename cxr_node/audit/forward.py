"""Forwarding of the audit trail to a syslog receiver: all messages in order, after any outage."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from cxr_node.audit.journal import Journal
from cxr_node.audit.syslog import SyslogConnection, SyslogReceiver, framed, is_message
from cxr_node.net.tls import failure_reason

_SHORTEST_S, _LONGEST_S = 1.0, 60.0
_BATCH_BYTES = 1 << 16


class Forwarder:
    """Sends messages written since the last call; the offsets are stored on disk.

    At-least-once delivery: after a broken connection or a crash messages may be sent twice.
    """

    def __init__(
        self, journal: Journal, receiver: SyslogReceiver, *, host: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._journal = journal
        self._receiver = receiver
        self._host = host
        self._clock = clock
        self._connection: SyslogConnection | None = None
        self._fault: OSError | None = None
        self._wait_s = 0.0
        self._retry_at = 0.0

    def forward(self) -> int:
        """Send all messages not forwarded yet; return their number.

        Raises
        ------
        OSError
            If the receiver is unreachable: the remaining messages stay in the trail.
        """
        count = 0
        offsets = self._journal.forwarded()
        while (frames := self._next(offsets)) is not None:
            if frames:
                self._send(b"".join(frames))
            self._journal.store_forwarded(offsets)
            count += len(frames)
        return count

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _next(self, offsets: dict[str, int]) -> list[bytes] | None:
        """Return the next messages, and advance `offsets`; None where there are no more lines."""
        lines = list(self._journal.lines_after(offsets, limit_bytes=_BATCH_BYTES))
        offsets.update({file: offset for _, file, offset in lines})
        return [framed(line, host=self._host) for line, _, _ in lines if is_message(line)] if lines else None

    def _send(self, frames: bytes) -> None:
        try:
            if self._connection is None:
                self._connection = self._receiver.connect()
            self._connection.send(frames)
        except OSError:
            self.close()
            raise

    def turn(self) -> int:
        """Forward, unless the receiver was unreachable a moment ago: exponential backoff up to a minute.

        Raises
        ------
        OSError
            If the receiver is, or was a moment ago, unreachable.
        """
        if self._fault is not None and self._clock() < self._retry_at:
            raise self._fault
        try:
            count = self.forward()
        except OSError as error:
            self._wait_s = min(_LONGEST_S, max(_SHORTEST_S, self._wait_s * 2))
            self._retry_at = self._clock() + self._wait_s
            self._fault = OSError(f"syslog receiver {self._receiver} unreachable: {failure_reason(error)}")
            raise self._fault from error
        self._fault, self._wait_s = None, 0.0
        return count


@contextmanager
def single_forwarder(folder: Path) -> Iterator[bool]:
    """Hold the lock of the forwarding process for the block; False if another process has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "forward.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def remove_old(journal: Journal, *, today: date, keep_days: int, is_forwarded: bool) -> int:
    """Remove files older than `keep_days`, with `is_forwarded` only forwarded ones; return their number."""
    before = date.fromordinal(today.toordinal() - keep_days)
    return journal.remove(before=before, forwarded=journal.forwarded() if is_forwarded else None)
