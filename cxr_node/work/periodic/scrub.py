"""Scrub: reads every archived file again and verifies its digest."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from cxr_node.archive.integrity import is_intact
from cxr_node.archive.store import Archive
from cxr_node.db.database import Database
from cxr_node.records import retention
from cxr_node.records.retention import ArchiveFile, ArchiveFileKind

_log = logging.getLogger(__name__)

_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A damaged file and its fault."""

    file: ArchiveFile
    fault: str


class Scrubber:
    """Checks all archived files in a cycle, a part at a time."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive
        self._remaining: Iterator[ArchiveFile] = iter(())
        self.checked = 0

    def turn(self, budget_bytes: int) -> list[Damage]:
        """Check files until `budget_bytes` are read or each was read once; return the damage."""
        damage: list[Damage] = []
        has_restarted = False
        while budget_bytes > 0:
            file = next(self._remaining, None)
            if file is None:
                if has_restarted:
                    break
                self._remaining, has_restarted = self._files(), True
                continue
            budget_bytes -= file.size_bytes
            damage += self.check(file)
        return damage

    def whole(self) -> list[Damage]:
        """Check every file once; return the damage."""
        return [damage for file in self._files() for damage in self.check(file)]

    def check(self, file: ArchiveFile) -> list[Damage]:
        """Check one file; return its damage, if any."""
        self.checked += 1
        fault = self._fault(file)
        if not fault or self._was_removed(file):
            return []
        _log.error(
            "%s %d is damaged: %s is %s; restore it from a backup", file.kind, file.row_id, file.archive_key, fault
        )
        return [Damage(file=file, fault=fault)]

    def _fault(self, file: ArchiveFile) -> str:
        try:
            return "" if is_intact(self._archive.get(file.archive_key), file.digest) else "altered"
        except KeyError:
            return "missing"
        except OSError as error:
            return f"unreadable ({error.strerror})"

    def _was_removed(self, file: ArchiveFile) -> bool:
        with self._database.read() as connection:
            return retention.files_after(connection, file.kind, file.row_id - 1, limit=1) != [file]

    def _files(self) -> Iterator[ArchiveFile]:
        for kind in ArchiveFileKind:
            last = 0
            while True:
                with self._database.read() as connection:
                    batch = retention.files_after(connection, kind, last, limit=_BATCH)
                if not batch:
                    break
                last = batch[-1].row_id
                yield from batch
