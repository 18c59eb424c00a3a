"""Room for new films: what is left for the database and for results."""

import os
from pathlib import Path


def has_space(*, free_bytes: int, reserve_bytes: int, size_bytes: int = 0) -> bool:
    """Whether `reserve_bytes` are still free when `size_bytes` have been kept."""
    return free_bytes - size_bytes >= reserve_bytes


def free_bytes(folder: Path) -> int:
    """Return what the file system of `folder` has left for us; the superuser's own share is not."""
    file_system = os.statvfs(folder)
    return file_system.f_bavail * file_system.f_frsize
