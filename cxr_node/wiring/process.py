"""Where the node keeps things, and its one clock."""

import socket
from datetime import UTC, datetime
from pathlib import Path

from cxr_node.archive.folder import FolderArchive
from cxr_node.archive.store import Archive
from cxr_node.config import ConfigurationError
from cxr_node.db.database import Database
from cxr_node.db.url import sqlite_file
from cxr_node.queue.notify import FifoNotifier
from cxr_node.settings.root import Settings

_LONGEST_HOST = 64


def now() -> datetime:
    """Return the present time: the one clock of the node, handed to whoever needs it."""
    return datetime.now(UTC)


def bells(settings: Settings) -> FifoNotifier:
    """Return the bells that wake this machine's workers."""
    return FifoNotifier(settings.node.data_folder / "bells")


def database(settings: Settings) -> Database:
    """Open the database. It is not migrated here."""
    settings.node.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _keep_to_owner(settings.database_url)
    return Database(
        settings.database_url, busy_timeout_s=settings.database.busy_timeout_s, on_commit=bells(settings).notify
    )


def _keep_to_owner(url: str) -> None:
    """Make the file of SQLite for its owner alone, as its log and index then are too; by itself it asks the umask."""
    file = sqlite_file(url)
    if file is not None:
        file.touch(mode=0o600)


def bundles_folder(settings: Settings) -> Path:
    """Return where bundles are installed."""
    return settings.node.data_folder / "bundles"


def shared_bundles_folder(settings: Settings) -> Path:
    """Return where bundles are kept that were chosen for all readers."""
    return settings.node.data_folder / "bundles-for-all"


def host(settings: Settings) -> str:
    """Return the name of this machine among those that work on one database."""
    return settings.node.host or socket.gethostname()[:_LONGEST_HOST]


def archive(settings: Settings) -> Archive:
    """Open the archive.

    Raises
    ------
    ConfigurationError
        If it is to be a bucket, and the library for it is not installed.
    """
    section = settings.archive
    if not section.bucket:
        return FolderArchive(settings.node.data_folder / "archive")
    try:
        from cxr_node.archive.objects import Bucket, ObjectArchive
    except ImportError:
        raise ConfigurationError(["archive.bucket: needs the extra s3: pip install 'cxr-node[s3]'"]) from None
    return ObjectArchive(
        Bucket(
            name=section.bucket,
            prefix=section.bucket_prefix,
            endpoint=section.bucket_endpoint,
            region=section.bucket_region,
            timeout_s=section.bucket_timeout_s,
        )
    )
