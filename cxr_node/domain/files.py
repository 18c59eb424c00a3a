"""Folders: whether they can be written to."""

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
