"""Lock of the data folder: at most one node runs in it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TIMEOUT_S = 15.0
_RETRY_S = 0.05


class AlreadyRunning(Exception):
    """Another program holds the data folder's lock, or the port that this node needs."""


@contextmanager
def data_folder_lock(folder: Path, *, timeout_s: float = _TIMEOUT_S) -> Iterator[int]:
    """Hold the data folder's lock; the value is its file descriptor.

    Roles inherit the descriptor, so the lock is free only when the last of them has ended.

    Raises
    ------
    AlreadyRunning
        If another process holds the lock for longer than `timeout_s` seconds.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "node.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + timeout_s
        while not _try_lock(lock):
            if time.monotonic() > deadline:
                raise AlreadyRunning(
                    f"another node runs in {folder}: stop it, or set node.data_folder to another folder"
                )
            time.sleep(_RETRY_S)
        yield lock
    finally:
        os.close(lock)


def is_locked(folder: Path) -> bool:
    """Whether a node runs in the data folder now."""
    try:
        with data_folder_lock(folder, timeout_s=0.0):
            return False
    except AlreadyRunning:
        return True


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
