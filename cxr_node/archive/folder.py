"""Archive in a folder of a local or shared POSIX file system."""

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from cxr_node.archive.store import OutOfSpace, check_key
from cxr_node.domain.files import flush

_STAGING = "staging"
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_WRITEBACK_BYTES = 1 << 20
_SETTLED_S = 60.0
"""Names in a folder that has not changed for so long are flushed: who added one has flushed it, or failed."""


class FolderArchive:
    """Files under `root`: written to a staging file, flushed and renamed; then the folder is flushed, for the name."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / _STAGING).mkdir(mode=0o700, exist_ok=True)

    def put(self, key: str, content: bytes) -> None:
        """Store `content` under `key` durably; see `Archive.put`."""
        check_key(key)
        staged = self.stage()
        try:
            staged.write(content)
            staged.commit(key)
        finally:
            staged.close()

    def stage(self) -> "StagedFile":
        """Return a new staging file; see `Archive.stage`."""
        return StagedFile(self, self._root)

    def get(self, key: str) -> bytes:
        """Return the content of `key`, or raise KeyError."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            raise KeyError(key) from None

    def get_beginning(self, key: str, size_bytes: int) -> bytes:
        """Return at most the first `size_bytes` of the content of `key`, or raise KeyError."""
        try:
            with self._path(key).open("rb") as file:
                return file.read(size_bytes)
        except FileNotFoundError:
            raise KeyError(key) from None

    def has_place_of(self, key: str) -> bool:
        """Whether the folder of a key is there: no file that is removed takes its folder along."""
        return self._path(key).parent.is_dir()

    def discard(self, key: str) -> None:
        """Remove `key`, if it exists."""
        self._path(key).unlink(missing_ok=True)

    def __contains__(self, key: str) -> bool:
        """Whether `key` exists."""
        return self._path(key).is_file()

    def stored_keys(self) -> Iterator[str]:
        """Yield the keys of all films and results."""
        for path in self._root.glob("*/*/*.dcm"):
            yield path.relative_to(self._root).as_posix()

    def clear_staging(self) -> int:
        """Remove staging files left by an earlier run, and return their number.

        Only before the first role starts: it would remove files that others write.
        """
        leftovers = list((self._root / _STAGING).iterdir())
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)


class StagedFile:
    """A staging file of the archive in `root`, created by the first write."""

    def __init__(self, archive: FolderArchive, root: Path) -> None:
        self._archive = archive
        self._root = root
        self._path = root / _STAGING / uuid.uuid4().hex
        self._descriptor = -1
        self._size_bytes = 0
        self._writeback_bytes = 0
        self._is_staged = True

    def write(self, content: bytes | memoryview, /) -> None:
        """Append `content`; raise OutOfSpace if the disk is full, OSError if writing fails otherwise."""
        with _out_of_space_raised():
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            view = memoryview(content)
            while view:
                written = os.write(self._descriptor, view)
                view = view[written:]
                self._size_bytes += written
            self._start_writeback()

    def read(self) -> bytes:
        """Return the content."""
        return os.pread(self._descriptor, self._size_bytes, 0) if self._descriptor >= 0 else b""

    def commit(self, key: str) -> None:
        """Flush the file, rename it, and flush its folder; raises as `Archive.put`."""
        path = self._root / check_key(key)
        if not self._is_staged:
            self._archive.put(key, self.read())
            return
        with _out_of_space_raised():
            os.fsync(self._descriptor)
            _make_folder(path.parent, self._root)
            self._path.rename(path)
            self._is_staged = False
            flush(path.parent, os.O_DIRECTORY)

    def close(self) -> None:
        """Close the file, and remove it if it is not committed."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        os.close(descriptor)
        if self._is_staged:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _start_writeback(self) -> None:
        """Start writeback of what is written so far, while the rest is received."""
        if self._size_bytes - self._writeback_bytes >= _WRITEBACK_BYTES:
            start, self._writeback_bytes = self._writeback_bytes, self._size_bytes
            # For dirty pages Linux starts writeback and does not wait.
            os.posix_fadvise(self._descriptor, start, self._size_bytes - start, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def _out_of_space_raised() -> Iterator[None]:
    """Raise OutOfSpace for errors of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise OutOfSpace("disk full: free space on the file system of the archive") from error
        raise


def _make_folder(folder: Path, root: Path) -> None:
    """Create `folder` and its parents below `root`, and flush their names.

    A folder that another thread or process has created a moment ago may not have its name flushed yet: it is flushed
    here too.
    """
    if folder == root or _is_settled(folder):
        return
    _make_folder(folder.parent, root)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    flush(folder.parent, os.O_DIRECTORY)


def _is_settled(folder: Path) -> bool:
    """Whether a folder exists whose name, and those of its parents, were flushed long ago."""
    try:
        return folder.is_dir() and time.time() - folder.parent.stat().st_mtime > _SETTLED_S
    except FileNotFoundError:
        return False
