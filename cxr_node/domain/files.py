"""Files and folders: whether a folder can be written to, and flushing to disk."""

import os
from contextlib import suppress
from pathlib import Path


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
        return error.strerror or type(error).__name__
    finally:
        with suppress(OSError):
            probe.unlink()
    return ""


def flush(path: Path, flags: int = 0) -> None:
    """Flush a file, or a folder's names, to disk; `flags` are those of `os.open` besides O_RDONLY."""
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
