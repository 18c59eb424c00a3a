"""From the trail to the syslog receiver: all of it, in order, however long the receiver was away."""

import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from cxr_node.audit.journal import Journal
from cxr_node.audit.syslog import Line, Receiver, framed, is_message
from cxr_node.net.tls import failure_reason

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
_SHORTEST_S, _LONGEST_S = 1.0, 60.0
_AT_ONCE_BYTES = 1 << 16


class Forwarder:
    """Tells a receiver what was written since it was told last; the place is remembered on disk.

    A message may be told twice, after a broken line or a crash, and none is left out.
    """

    def __init__(self, journal: Journal, receiver: Receiver, *, host: str) -> None:
        self._journal = journal
        self._receiver = receiver
        self._host = host
        self._line: Line | None = None

    def turn(self) -> int:
        """Tell what is there; return how many messages that was.

        Raises
        ------
        OSError
            If the receiver is away: what it was not told waits.
        """
        count = 0
        told = self._journal.told()
        while (frames := self._next(told)) is not None:
            if frames:
                self._send(b"".join(frames))
            self._journal.note_told(told)
            count += len(frames)
        return count

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _next(self, told: dict[str, int]) -> list[bytes] | None:
        """Return the next messages, and move `told` behind them; None where there are no more lines."""
        lines = list(self._journal.after(told, limit_bytes=_AT_ONCE_BYTES))
        told.update({file: offset for _, file, offset in lines})
        return [framed(line, host=self._host) for line, _, _ in lines if is_message(line)] if lines else None

    def _send(self, frames: bytes) -> None:
        try:
            if self._line is None:
                self._line = self._receiver.connect()
            self._line.send(frames)
        except OSError:
            self.close()
            raise

    def run(self, stopping: threading.Event) -> None:
        """Take turns until `stopping`; a receiver that is away is tried again, at first after a second."""
        wait_s = _LOOK_S
        while not stopping.wait(wait_s):
            try:
                self.turn()
            except OSError as error:
                if wait_s == _LOOK_S:
                    _log.warning(
                        "syslog receiver %s is away, the trail waits: %s", self._receiver, failure_reason(error)
                    )
                wait_s = min(_LONGEST_S, max(_SHORTEST_S, wait_s) * 2)
            else:
                if wait_s != _LOOK_S:
                    _log.info("syslog receiver %s is back", self._receiver)
                wait_s = _LOOK_S
        self.close()


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether this process is the one that tells the receiver while the block lasts: one of a folder's at a time."""
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


def keep(journal: Journal, *, today: date, keep_days: int, is_told: bool) -> int:
    """Remove the files of days that are older than `keep_days`, told if they are to be; return how many."""
    before = date.fromordinal(today.toordinal() - keep_days)
    return journal.remove(before=before, told=journal.told() if is_told else None)
