"""Disk space for new films, above a reserve for database and results."""

import os
from pathlib import Path


def has_space(*, free_bytes: int, reserve_bytes: int, size_bytes: int = 0) -> bool:
    """Whether `reserve_bytes` are still free after `size_bytes` are stored."""
    return free_bytes - size_bytes >= reserve_bytes


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the file system of `folder`, without the superuser's share."""
    file_system = os.statvfs(folder)
    return file_system.f_bavail * file_system.f_frsize
