"""Backup and restore of a node: one database file, the archive's files and the installed bundles."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cxr_node.archive.folder import FolderArchive
from cxr_node.archive.integrity import is_intact
from cxr_node.domain.files import flush
from cxr_node.domain.identifiers import Digest
from cxr_node.queries import ledger
from cxr_node.records import dump
from cxr_node.wiring.process import Process

_MANIFEST = "backup.json"
_FORMAT = 1


class BackupError(Exception):
    """A backup cannot be written or restored; the sentence says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Content of a backup: database file and its SHA-256, begin (ISO 8601), number and bytes of archive files."""

    database: str
    sha256: str
    begun_at: str
    files: int
    bytes: int


def write(process: Process, folder: Path) -> Manifest:
    """Write a backup into `folder`, or update the one in it.

    The database is copied first, in one transaction. A row is committed only after its file is in the archive, so
    each row of the copy has its file.

    Raises
    ------
    BackupError
        If a file that a row names is missing from the archive.
    """
    begun_at = process.clock()
    files = FolderArchive(folder / "archive")
    copy = folder / f"database-{begun_at:%Y%m%dT%H%M%S%f}.db"
    dump.write(process.database, copy)
    sizes = _copy_files(process, copy, files)
    _copy_folder(process.settings.node.bundles_folder, folder / "bundles")
    flush(copy)
    manifest = Manifest(
        database=copy.name,
        sha256=_sha256(copy),
        begun_at=begun_at.isoformat(),
        files=len(sizes),
        bytes=sum(sizes.values()),
    )
    _replace(folder / _MANIFEST, json.dumps({"form": _FORMAT, **asdict(manifest)}, indent=2))
    _remove_older(folder, copy, files, sizes.keys())
    return manifest


def restore(process: Process, folder: Path, manifest: Manifest) -> None:
    """Restore files, then rows, into a node that has none, so that no row is without its file.

    Raises
    ------
    BackupError
        If the backup is incomplete or damaged, or the node has films.
    """
    copy = folder / manifest.database
    if not copy.is_file() or _sha256(copy) != manifest.sha256:
        raise BackupError(f"{copy} is missing or damaged: use another backup")
    source, node = FolderArchive(folder / "archive"), process.settings.node
    with _scratch_copy(copy, node.data_folder) as scratch:
        for key, digest, _ in dump.kept_files(scratch):
            process.archive.put(key, _intact(source, key, Digest(digest)))
        _copy_folder(folder / "bundles", node.bundles_folder)
        try:
            dump.read(scratch, process.database)
        except dump.NotEmpty:
            raise BackupError("this node has films: restore into an empty data folder and database") from None


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a backup.

    Raises
    ------
    BackupError
        If the folder holds no complete backup, or one of another format.
    """
    try:
        content = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except OSError:
        raise BackupError(f"{folder} is not a complete backup: {_MANIFEST} is missing") from None
    if content.pop("form") != _FORMAT:
        raise BackupError(f"{folder} was written by another version of cxr-node")
    return Manifest(**content)


@contextmanager
def _scratch_copy(copy: Path, data_folder: Path) -> Iterator[Path]:
    scratch = data_folder / "restoring.db"
    try:
        shutil.copyfile(copy, scratch)
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def _copy_files(process: Process, copy: Path, files: FolderArchive) -> dict[str, int]:
    """Copy the files that the copied rows name; return their sizes by key.

    A file that retention removed after the rows were copied is marked as removed in the copy.
    """
    sizes: dict[str, int] = {}
    absent: set[str] = set()
    for key, _, size in dump.kept_files(copy):
        try:
            if key not in files:
                files.put(key, process.archive.get(key))
            sizes[key] = size
        except KeyError:
            absent.add(key)
    if absent:
        with process.database.read() as connection:
            missing = absent & ledger.archive_keys(connection)
        if missing:
            names = ", ".join(sorted(missing)[:3])
            raise BackupError(f"missing from the archive: {names}; see `cxr-node reconcile`. Nothing was backed up")
        dump.mark_removed(copy, absent, at=process.clock())
    return sizes


def _remove_older(folder: Path, copy: Path, files: FolderArchive, keys: Set[str]) -> None:
    """Remove what only earlier backups in the same folder need."""
    for older in folder.glob("database-*.db"):
        if older != copy:
            older.unlink()
    for key in list(files.stored_keys()):
        if key not in keys:
            files.discard(key)


def _copy_folder(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)


def _intact(source: FolderArchive, key: str, digest: Digest) -> bytes:
    try:
        content = source.get(key)
    except KeyError:
        raise BackupError(f"{key} is missing from the backup: use another one; nothing was restored") from None
    if not is_intact(content, digest):
        raise BackupError(f"{key} is damaged in the backup: use another one; nothing was restored")
    return content


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically and flush it to disk."""
    new = path.with_suffix(".new")
    new.write_text(text + "\n", encoding="utf-8")
    flush(new)
    new.rename(path)
    flush(path.parent)
