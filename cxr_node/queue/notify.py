"""Waking the workers of a stage when there is work, within one machine.

A named pipe per stage: ringing never blocks and is lost when nobody listens, which is harmless, for a
worker looks at the queue before it waits and the schedule's tick rings too. PostgreSQL is not needed,
and processes that share only the folder wake each other.
"""

import contextlib
import os
import select
from pathlib import Path
from types import TracebackType
from typing import Self

from cxr_node.db.states import Stage


class FifoNotifier:
    """The bells of one node, in one folder that must exist on a local file system."""

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
        except OSError:  # nobody listens
            return
        try:
            os.write(pipe, b"\0")
        except OSError:  # full: it has been rung often enough
            pass
        finally:
            os.close(pipe)

    def listen(self, stage: Stage) -> "FifoListener":
        """Return a listener for the bell of `stage`."""
        return FifoListener(self._path(stage))

    def _path(self, stage: Stage) -> Path:
        return self._folder / f"{stage}.bell"


class FifoListener:
    """Waits for one bell."""

    def __init__(self, path: Path) -> None:
        # Opened for writing too, so that the pipe never reports its end when a ringer closes it.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def wait(self, timeout_s: float) -> None:
        """Return when the bell has rung since the last call, or after `timeout_s` seconds."""
        ready, _, _ = select.select([self._pipe], [], [], max(0.0, timeout_s))
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._pipe, 65536)

    def close(self) -> None:
        """Stop listening."""
        os.close(self._pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
