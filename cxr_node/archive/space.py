"""Disk space and inodes for new films, above a reserve for database and results."""

import os
from dataclasses import dataclass
from pathlib import Path

_FULL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSpace:
    """Free on a file system, without the superuser's share. `inodes` is None where their number is not fixed."""

    size_bytes: int
    inodes: int | None

    def __str__(self) -> str:
        """Return it for messages."""
        inodes = "" if self.inodes is None else f", and {self.inodes:,} inodes"
        return f"{self.size_bytes:,} bytes are free{inodes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """What must stay free: a film takes an inode, its results several."""

    size_bytes: int
    inodes: int

    def shortage(self, free: FreeSpace, *, size_bytes: int = 0) -> str:
        """Return what a film of so many bytes would take from the reserve: space or inodes; empty if nothing."""
        if free.size_bytes - size_bytes < self.size_bytes:
            return "space"
        return "inodes" if free.inodes is not None and free.inodes < self.inodes else ""


def free_space(folder: Path) -> FreeSpace:
    """Return what is free on the file system of `folder`, or of its parent if it does not exist."""
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    file_system = os.statvfs(folder)
    return FreeSpace(
        size_bytes=file_system.f_bavail * file_system.f_frsize,
        inodes=file_system.f_favail if file_system.f_files else None,
    )


def full_disk(folder: Path) -> str:
    """Return that the disk of a folder is full, and what to do; empty if it is not."""
    free = free_space(folder)
    if free.size_bytes >= _FULL_BYTES and free.inodes != 0:
        return ""
    return f"the disk of {folder} is full: {free}. Free space on it, then start the node"
