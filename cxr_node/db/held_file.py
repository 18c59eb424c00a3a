"""SQLite file of an engine: whether its path still names the file that is open."""

import os
from pathlib import Path

from cxr_node.db.errors import WrongDatabase

_REMOVED, _REPLACED, _EMPTIED = "removed", "replaced", "emptied"


class HeldFile:
    """The file at `path` when the first connection opened it.

    SQLite goes on writing to a file that was removed or replaced, and everything written is lost with its last
    connection.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, int] | None = None
        self._has_content = False

    def hold(self) -> None:
        """Take the file at the path as the open one, at each new connection.

        Raises
        ------
        WrongDatabase
            If an earlier connection opened another file.
        """
        if self._opened is None:
            status = self._path.stat()
            self._opened = status.st_dev, status.st_ino
        self.check()

    def check(self) -> None:
        """Raise WrongDatabase if the path does not name the open file any more, or that was emptied."""
        fault = self._fault()
        if fault:
            raise WrongDatabase(
                f"the database file {self._path} was {fault} while it was open, and no film is accepted: put it back, "
                "or restore a backup, or run `cxr-node adopt` to read the kept films into a new one, and start the node"
            )

    @property
    def has_lost_its_name(self) -> bool:
        """Whether the open file was removed or replaced: it is whole, and only open connections reach it."""
        return self._fault() in (_REMOVED, _REPLACED)

    def remove_log(self) -> None:
        """Remove write-ahead log and index at the path: SQLite would mix them into a file that replaces the open one.

        Call once the open file is copied.
        """
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _fault(self) -> str:
        if self._opened is None:
            return ""
        try:
            status = os.stat(self._path)  # noqa: PTH116  # at each commit, and half the time of Path.stat
        except FileNotFoundError:
            return _REMOVED
        if (status.st_dev, status.st_ino) != self._opened:
            return _REPLACED
        if self._has_content and not status.st_size:
            return _EMPTIED
        self._has_content = status.st_size > 0
        return ""
