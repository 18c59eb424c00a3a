"""An archive in a folder of a local or shared POSIX file system."""

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from cxr_node.archive.store import OutOfSpace, check_key

_ASIDE = "aside"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class FolderArchive:
    """Files under `root`: written aside, flushed, renamed, and their folder flushed (so that the name survives too)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / _ASIDE).mkdir(mode=0o700, exist_ok=True)

    def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key` durably; see `Archive.put`."""
        path = self._path(key)
        aside = self._root / _ASIDE / uuid.uuid4().hex
        try:
            _write_and_flush(aside, content)
            _make_folder(path.parent)
            aside.rename(path)
            _flush_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            if error.errno in _NO_ROOM:
                raise OutOfSpace(f"no room for {key}: free space on the file system of the archive") from error
            raise

    def get(self, key: str) -> bytes:
        """Return what is kept under `key`, or raise KeyError."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            raise KeyError(key) from None

    def discard(self, key: str) -> None:
        """Forget `key`, if it is there."""
        self._path(key).unlink(missing_ok=True)

    def __contains__(self, key: str) -> bool:
        """Whether something is kept under `key`."""
        return self._path(key).is_file()

    def kept_keys(self) -> Iterator[str]:
        """Yield every key that something is kept under."""
        for path in self._root.glob("*/*/*.dcm"):
            yield path.relative_to(self._root).as_posix()

    def clear_aside(self) -> int:
        """Remove what was half written when the node last stopped, and return how many files that was.

        Only to be called while nobody writes: at the start, before the first role runs.
        """
        leftovers = list((self._root / _ASIDE).iterdir())
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)


def _write_and_flush(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Make `folder` and flush the names of those made, up to the first that was there."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
