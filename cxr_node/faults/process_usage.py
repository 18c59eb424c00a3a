"""Memory and open files of a process, and their growth during a run."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_MORE_FILES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Resident memory of a process, and its number of open files and connections; 0 if it has ended."""

    resident_bytes: int
    open_files: int

    @classmethod
    def of(cls, process_id: int) -> Self:
        """Return the present usage of a process (second number of /proc/<id>/statm, in pages)."""
        folder = Path(f"/proc/{process_id}")
        if not folder.exists():
            return cls(resident_bytes=0, open_files=0)
        pages = int((folder / "statm").read_text().split()[1])
        return cls(resident_bytes=pages * os.sysconf("SC_PAGE_SIZE"), open_files=len(list((folder / "fd").iterdir())))

    def growth(self, later: Self, *, limit_bytes: int) -> list[str]:
        """Return the problems of a later usage: more memory than the limit allows, or more open files."""
        memory, files = later.resident_bytes - self.resident_bytes, later.open_files - self.open_files
        return [f"the process grew from {self} to {later}"] if memory > limit_bytes or files > _MORE_FILES else []

    def __str__(self) -> str:
        return f"{self.resident_bytes >> 20} MiB and {self.open_files} open files"
