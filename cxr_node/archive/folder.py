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
_FLUSHED_TOGETHER_BYTES = 1 << 20


class FolderArchive:
    """Files under `root`: written aside, flushed, renamed, and their folder flushed (so that the name survives too)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / _ASIDE).mkdir(mode=0o700, exist_ok=True)

    def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key` durably; see `Archive.put`."""
        check_key(key)
        aside = self.stage()
        try:
            aside.write(content)
            aside.keep(key)
        finally:
            aside.close()

    def stage(self) -> "StagedFile":
        """Return a new file beside the kept ones; see `Archive.aside`."""
        return StagedFile(self, self._root)

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
        """Yield every key that a film or a result is kept under."""
        for path in self._root.glob("*/*/*.dcm"):
            yield path.relative_to(self._root).as_posix()

    def clear_staging(self) -> int:
        """Remove what was half written when the node last stopped, and return how many files that was.

        Only to be called while nobody writes: at the start, before the first role runs.
        """
        leftovers = list((self._root / _ASIDE).iterdir())
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)


class StagedFile:
    """A file on its way into the archive whose root is `root`; there is none before something is written."""

    def __init__(self, archive: FolderArchive, root: Path) -> None:
        self._archive = archive
        self._root = root
        self._path = root / _ASIDE / uuid.uuid4().hex
        self._descriptor = -1
        self._size_bytes = 0
        self._under_way_bytes = 0
        self._is_aside = True

    def write(self, content: bytes | memoryview, /) -> None:
        """Add `content`; raise OutOfSpace where there is no room for it, OSError if it cannot be written."""
        with _sorted():
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            view = memoryview(content)
            while view:
                written = os.write(self._descriptor, view)
                view = view[written:]
                self._size_bytes += written
            self._begin_to_flush()

    def read(self) -> bytes:
        """Return all that was written."""
        return os.pread(self._descriptor, self._size_bytes, 0) if self._descriptor >= 0 else b""

    def keep(self, key: str) -> None:
        """Flush the file, give it its name, and flush that too; see `Archive.put` for what this raises."""
        path = self._root / check_key(key)
        if not self._is_aside:
            self._archive.put(key, self.read())
            return
        with _sorted():
            os.fsync(self._descriptor)
            _make_folder(path.parent)
            self._path.rename(path)
            self._is_aside = False
            _flush_folder(path.parent)

    def close(self) -> None:
        """Close the file, and remove it where it was not kept."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        os.close(descriptor)
        if self._is_aside:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _begin_to_flush(self) -> None:
        """Have the disk begin with what it has not been given yet, while the rest is still on its way."""
        if self._size_bytes - self._under_way_bytes >= _FLUSHED_TOGETHER_BYTES:
            start, self._under_way_bytes = self._under_way_bytes, self._size_bytes
            # Of pages that are not on the disk yet Linux takes this as a request to write them, and does not wait.
            os.posix_fadvise(self._descriptor, start, self._size_bytes - start, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def _sorted() -> Iterator[None]:
    """Tell a full disk from other errors."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise OutOfSpace("no room: free space on the file system of the archive") from error
        raise


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
