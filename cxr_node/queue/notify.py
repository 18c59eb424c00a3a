"""Notification of workers within one machine, by one named pipe (FIFO) for each stage.

A notification never blocks. Without a listener it is lost, which is harmless: a worker queries the queue before it
waits, and the scheduler notifies at each tick. It needs no PostgreSQL, only a folder that the processes share.
"""

import contextlib
import os
import select
from pathlib import Path
from typing import Self

from cxr_node.db.states import Stage


class FifoNotifier:
    """Pipes of one node, in a folder on a local file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stage in Stage:
            with contextlib.suppress(FileExistsError):
                os.mkfifo(self._path(stage), mode=0o600)

    def notify(self, stage: Stage) -> None:
        """Wake one waiting worker of `stage`, if there is one."""
        try:
            pipe = os.open(self._path(stage), os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # no listener
            return
        try:
            os.write(pipe, b"\0")
        except OSError:  # the pipe is full: enough notifications are pending
            pass
        finally:
            os.close(pipe)

    def listen(self, stage: Stage) -> "FifoListener":
        """Return a listener for `stage`."""
        return FifoListener(self._path(stage))

    def _path(self, stage: Stage) -> Path:
        return self._folder / f"{stage}.fifo"


class FifoListener:
    """Waits for notifications of one stage."""

    def __init__(self, path: Path) -> None:
        # Opened for writing too, so that the pipe never reports end of file when a notifier closes it.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def wait(self, timeout_s: float) -> None:
        """Return at a notification since the last call, or after `timeout_s` seconds."""
        ready, _, _ = select.select([self._pipe], [], [], max(0.0, timeout_s))
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._pipe, 65536)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
