"""Retention: removes the bytes of delivered studies older than `archive.keep_days`; rows stay."""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

from cxr_node.archive.store import Archive
from cxr_node.db.database import Database
from cxr_node.domain.clock import Clock
from cxr_node.records import patient_updates, retention
from cxr_node.records.retention import ArchiveFile

_log = logging.getLogger(__name__)

_BATCH = 100
_SWEPT = timedelta(days=7)
"""How long a marked file is looked for whose removal a crash prevented."""

BeforeRemoval = Callable[[Iterable[bytes]], None]
"""Called with the DICOM files of a study before their removal; again after a crash in between."""


def remove_expired(
    database: Database,
    archive: Archive,
    *,
    keep: timedelta,
    clock: Clock,
    before_removal: BeforeRemoval = lambda _files: None,
) -> int:
    """Remove the bytes of studies that are delivered and older than `keep`; return the number of studies.

    Bytes of received rejection notes of that age are removed too, whatever became of the studies that they name.

    Rows stay, marked as removed. They are marked first: a crash leaves a file too many, which the next call
    removes, never a row without its file.
    """
    now = clock()
    with database.write() as transaction:
        retention.remove_note_bytes(transaction, before=now - keep)
        patient_updates.forget(transaction, before=now - keep)
    studies = 0
    while True:
        with database.write() as transaction:
            marked_studies = retention.mark_removed(transaction, before=now - keep, now=now, limit=_BATCH)
        studies += marked_studies
        if not marked_studies:
            break
    with database.read() as connection:
        marked = retention.removed_since(connection, since=now - _SWEPT)
    by_study: dict[int, list[ArchiveFile]] = {}
    for file in marked:
        by_study.setdefault(file.study_id, []).append(file)
    for files in by_study.values():
        remove_files(database, archive, files, before_removal=before_removal)
    if studies:
        _log.info("removed films and results of %d studies: delivered, and older than %s", studies, keep)
    return studies


def remove_files(
    database: Database, archive: Archive, marked: Iterable[ArchiveFile], *, before_removal: BeforeRemoval
) -> None:
    """Remove the files of one study that are marked as removed, if they are there; again after a crash in between."""
    files = [file for file in marked if file.archive_key in archive]
    if files:
        before_removal(archive.get(file.archive_key) for file in files)
    for file in files:
        with database.write() as transaction:
            retention.remove(transaction, file, archive.discard)
