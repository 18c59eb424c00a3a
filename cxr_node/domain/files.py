"""Files and folders: whether a folder can be written to, files that are whole, and flushing to disk."""

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from cxr_node.domain.errors import cause_of


def write_fault(folder: Path) -> str:
    """Return why no file can be written to a folder; empty if one can. A missing folder is created."""
    probe = folder / f".doctor-{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with probe.open("wb") as file:
            file.write(b"?")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return cause_of(error)
    finally:
        with suppress(OSError):
            probe.unlink()
    return ""


def create_whole(path: Path, content: bytes) -> None:
    """Create a file of the owner's that is whole or not there, also after a power failure.

    Raises
    ------
    FileExistsError
        If it exists.
    """
    staged = _staged(path, content)
    try:
        os.link(staged, path)
    finally:
        staged.unlink()
    flush(path.parent, os.O_DIRECTORY)


def replace_whole(path: Path, content: bytes) -> None:
    """Create or replace a file of the owner's: it has the old or the new content, also after a power failure."""
    staged = _staged(path, content)
    try:
        staged.rename(path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
    flush(path.parent, os.O_DIRECTORY)


def replace_in_place(path: Path, content: bytes) -> None:
    """Replace a file as `replace_whole` does; it keeps its mode, owner, group and extended attributes.

    Raises
    ------
    OSError
        If the folder cannot be written to, or the owner cannot be kept.
    """
    present = path.stat()
    staged = _staged(path, content)
    try:
        written = staged.stat()
        if (written.st_uid, written.st_gid) != (present.st_uid, present.st_gid):
            os.chown(staged, present.st_uid, present.st_gid)
        shutil.copystat(path, staged)
        os.utime(staged)
        flush(staged)
        staged.rename(path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
    flush(path.parent, os.O_DIRECTORY)


def _staged(path: Path, content: bytes) -> Path:
    """Return a flushed file beside `path`."""
    staged = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        staged.unlink(missing_ok=True)
        raise
    return staged


def flush(path: Path, flags: int = 0) -> None:
    """Flush a file, or a folder's names, to disk; `flags` are those of `os.open` besides O_RDONLY."""
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
