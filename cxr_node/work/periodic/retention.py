"""Upkeep of the archive: what is old and delivered goes, what stays is read again and held against its digest."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from cxr_node.archive.integrity import is_intact
from cxr_node.archive.store import Archive
from cxr_node.db.database import Database
from cxr_node.records import retention
from cxr_node.records.retention import ArchiveFile, ArchiveFileKind
from cxr_node.work.handlers.read import Clock

_log = logging.getLogger(__name__)

_AT_ONCE = 100
_SWEPT = timedelta(days=7)
"""How long a file is looked for whose removal a crash prevented."""


_LEAP_S = 3600.0


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockJumpGuard:
    """Whether the clock has gone on as it should since this was made, by `counter`, which nobody sets."""

    def __init__(self, clock: Clock, *, counter: Callable[[], float] = _since_boot) -> None:
        self._clock = clock
        self._counter = counter
        self._began, self._counted = clock(), counter()

    def only_if_steady(self, do: Callable[[], object]) -> None:
        """Call `do`, unless the clock has leapt: what it says of a film's age may then be wrong."""
        ahead_s = (self._clock() - self._began).total_seconds() - (self._counter() - self._counted)
        if abs(ahead_s) < _LEAP_S:
            do()
            return
        _log.error("the clock has leapt by %.0f s: nothing is removed until the node is started again", ahead_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A file that is not what was kept, and what is wrong with it."""

    kept: ArchiveFile
    what: str


Removing = Callable[[Iterable[bytes]], None]
"""Told of the DICOM files of one study before they go; again, if a crash came between."""


def remove_expired(
    database: Database,
    archive: Archive,
    *,
    keep: timedelta,
    clock: Clock,
    removing: Removing = lambda _files: None,
) -> int:
    """Remove the bytes of studies that are delivered and older than `keep`; return how many studies were found.

    Rows stay, and say when. They are marked first: a crash leaves a file too many, which the next call
    removes, never a row without its file.
    """
    now = clock()
    studies = 0
    while True:
        with database.write() as transaction:
            found = retention.mark_removed(transaction, before=now - keep, now=now, limit=_AT_ONCE)
        studies += found
        if not found:
            break
    with database.read() as connection:
        marked = retention.removed_since(connection, since=now - _SWEPT)
    of_study: dict[int, list[ArchiveFile]] = {}
    for each in marked:
        if each.archive_key in archive:
            of_study.setdefault(each.study_id, []).append(each)
    for files in of_study.values():
        removing(archive.get(each.archive_key) for each in files)
        for each in files:
            with database.write() as transaction:
                retention.remove(transaction, each, archive.discard)
    if studies:
        _log.info("the films and results of %d studies were removed: delivered, and older than %s", studies, keep)
    return studies


class Scrubber:
    """Reads every kept file again, one after the other, and begins anew after the last."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive
        self._kept: Iterator[ArchiveFile] = iter(())
        self.checked = 0

    def turn(self, budget_bytes: int) -> list[Damage]:
        """Check files until `budget_bytes` are read or each was read once; return what is damaged."""
        found: list[Damage] = []
        started_anew = False
        while budget_bytes > 0:
            kept = next(self._kept, None)
            if kept is None:
                if started_anew:
                    break
                self._kept, started_anew = self._all(), True
                continue
            budget_bytes -= kept.size_bytes
            found += self.check(kept)
        return found

    def whole(self) -> list[Damage]:
        """Check every file once; return what is damaged."""
        return [damage for kept in self._all() for damage in self.check(kept)]

    def check(self, kept: ArchiveFile) -> list[Damage]:
        """Check one file; return its damage, if any."""
        self.checked += 1
        what = self._wrong(kept)
        if not what or self._was_removed(kept):
            return []
        _log.error(
            "%s %d is damaged: %s is %s; restore it from a backup", kept.kind, kept.row_id, kept.archive_key, what
        )
        return [Damage(kept=kept, what=what)]

    def _wrong(self, kept: ArchiveFile) -> str:
        try:
            return "" if is_intact(self._archive.get(kept.archive_key), kept.digest) else "not what was kept"
        except KeyError:
            return "missing"
        except OSError as error:
            return f"not to be read ({error.strerror})"

    def _was_removed(self, kept: ArchiveFile) -> bool:
        with self._database.read() as connection:
            return retention.files_after(connection, kept.kind, kept.row_id - 1, limit=1) != [kept]

    def _all(self) -> Iterator[ArchiveFile]:
        for of in ArchiveFileKind:
            last = 0
            while True:
                with self._database.read() as connection:
                    batch = retention.files_after(connection, of, last, limit=_AT_ONCE)
                if not batch:
                    break
                last = batch[-1].row_id
                yield from batch
