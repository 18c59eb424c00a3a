"""`cxr-node backup` and `restore`: database and files that fit each other, taken while the node works."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cxr_node import config
from cxr_node.archive.folder import FolderArchive
from cxr_node.archive.integrity import is_intact
from cxr_node.cli.database import read_only
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, explained
from cxr_node.db.database import Database
from cxr_node.domain.identifiers import Digest
from cxr_node.ops import operator_log
from cxr_node.ops.operator_log import OperatorAction
from cxr_node.queries import ledger
from cxr_node.records import dump
from cxr_node.service import supervisor
from cxr_node.settings.root import Settings
from cxr_node.wiring import process

_MANIFEST = "backup.json"
_FORM = 1

Folder = Annotated[Path, typer.Argument(help="The backup's folder.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds: its database file with that file's SHA-256, when it was begun, and how many files."""

    database: str
    sha256: str
    begun_at: str
    files: int
    bytes: int


def backup(folder: Folder, path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Back up database, films, results and installed models, while the node works.

    Every film that got Success before this began is in it; the settings file is not. A folder that was used before is
    brought up to date.
    """
    with explained():
        manifest = take(config.load(path), folder)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), **_plain(manifest)}))
    else:
        typer.echo(
            f"{folder}: the database of {manifest.begun_at} and {manifest.files} files, {manifest.bytes:,} bytes"
        )


def restore(folder: Folder, path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Fill an empty node from a backup; each file is held against its digest. The node must not run.

    The database may be of the other kind than the one that was backed up.
    """
    with explained():
        settings = config.load(path)
        manifest = _manifest(folder)
        try:
            with supervisor.only_one(settings.node.data_folder, patience_s=0.0):
                put_back(settings, folder, manifest)
        except supervisor.AlreadyRunning:
            raise CommandError("a node works in this data folder: stop it first") from None
        what = f"restored from the backup of {manifest.begun_at}"
        operator_log.record(settings, OperatorAction(by=operator_log.person(), what=what, subject="node"))
    if as_json:
        typer.echo(json.dumps(_plain(manifest)))
    else:
        typer.echo(f"{manifest.files} files and the database of {manifest.begun_at} are back; start the node")


def take(settings: Settings, folder: Path) -> Manifest:
    """Write a backup into `folder`; return what it holds.

    The database is copied first, at one moment: the file of each of its rows was kept before the row was written.
    """
    begun_at = process.now()
    kept = FolderArchive(folder / "archive")
    written = folder / f"database-{begun_at:%Y%m%dT%H%M%S%f}.db"
    database = read_only(settings, at_most_s=24 * 3600.0)
    try:
        dump.write(database, written)
        sizes = _copy_files(settings, database, written, kept)
    finally:
        database.close()
    _copy_bundles(settings, folder)
    _flush(written)
    manifest = Manifest(
        database=written.name,
        sha256=_sha256(written),
        begun_at=begun_at.isoformat(),
        files=len(sizes),
        bytes=sum(sizes.values()),
    )
    _write(folder / _MANIFEST, json.dumps({"form": _FORM, **_plain(manifest)}, indent=2))
    _forget_what_is_older(folder, written, kept, sizes)
    return manifest


def put_back(settings: Settings, folder: Path, manifest: Manifest) -> None:
    """Bring files and rows of a backup into a node that has none. Rows come last: none is without its file."""
    written = folder / manifest.database
    if not written.is_file() or _sha256(written) != manifest.sha256:
        raise CommandError(f"{written} is not what was backed up: use another backup")
    database = process.database(settings)
    work = settings.node.data_folder / "restoring.db"
    try:
        shutil.copyfile(written, work)
        archive, source = process.archive(settings), FolderArchive(folder / "archive")
        for key, digest, _ in dump.kept_files(work):
            archive.put(key, _intact(source, key, Digest(digest)))
        _put_bundles_back(settings, folder)
        dump.read(work, database)
    except dump.NotEmpty:
        raise CommandError("this node has films already: restore into an empty data folder and database") from None
    finally:
        database.close()
        work.unlink(missing_ok=True)


def _copy_files(settings: Settings, database: Database, written: Path, kept: FolderArchive) -> dict[str, int]:
    """Copy the files that the copied rows promise, and return their sizes by key.

    A file that was removed on purpose since the rows were copied is marked as removed in the copy.
    """
    archive = process.archive(settings)
    sizes: dict[str, int] = {}
    gone: set[str] = set()
    for key, _, size in dump.kept_files(written):
        try:
            if key not in kept:
                kept.put(key, archive.get(key))
            sizes[key] = size
        except KeyError:
            gone.add(key)
    if gone:
        with database.read() as connection:
            missing = gone & ledger.archive_keys(connection)
        if missing:
            names = ", ".join(sorted(missing)[:3])
            raise CommandError(f"missing from the archive: {names}; see `cxr-node reconcile`. Nothing was backed up")
        dump.mark_removed(written, gone, at=process.now())
    return sizes


def _forget_what_is_older(folder: Path, written: Path, kept: FolderArchive, sizes: dict[str, int]) -> None:
    """Remove what only an earlier backup in the same folder needed."""
    for older in folder.glob("database-*.db"):
        if older != written:
            older.unlink()
    for key in list(kept.kept_keys()):
        if key not in sizes:
            kept.discard(key)


def _copy_bundles(settings: Settings, folder: Path) -> None:
    bundles = process.bundles_folder(settings)
    if bundles.is_dir():
        shutil.copytree(bundles, folder / "bundles", dirs_exist_ok=True)


def _put_bundles_back(settings: Settings, folder: Path) -> None:
    if (folder / "bundles").is_dir():
        shutil.copytree(folder / "bundles", process.bundles_folder(settings), dirs_exist_ok=True)


def _intact(source: FolderArchive, key: str, digest: Digest) -> bytes:
    try:
        content = source.get(key)
    except KeyError:
        raise CommandError(f"{key} is missing from the backup: use another one; nothing was restored") from None
    if not is_intact(content, digest):
        raise CommandError(f"{key} is damaged in the backup: use another one; nothing was restored")
    return content


def _manifest(folder: Path) -> Manifest:
    try:
        said = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except OSError:
        raise CommandError(f"{folder} is no complete backup: {_MANIFEST} is missing") from None
    if said.pop("form") != _FORM:
        raise CommandError(f"{folder} was written by another version of cxr-node")
    return Manifest(**said)


def _plain(manifest: Manifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in manifest.__slots__}


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _write(path: Path, text: str) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(text + "\n", encoding="utf-8")
    _flush(aside)
    aside.rename(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
