"""Integrity of stored files: each use of archived bytes compares them with the digest in their row."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from cxr_node.archive.store import Archive, ArchiveAway, ReadableArchive
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.identifiers import Digest, digest_of
from cxr_node.domain.reasons import Reason

_GROUP_LENGTH_OFFSET = 140
_META_OFFSET = 144
"""Offset after preamble, prefix and the group length element of the File Meta Information (PS3.10 section 7.1)."""


class ArchivedObject(Protocol):
    """A row of a film or result: where its bytes are, and the digest of their data set."""

    @property
    def archive_key(self) -> str:
        """Key in the archive."""
        ...

    @property
    def digest(self) -> Digest:
        """SHA-256 of the data set, without File Meta Information."""
        ...


class Damaged(GiveUp):
    """Archived bytes are missing, or not those that were received or composed. `content` are those found, if any."""

    def __init__(self, key: str, content: bytes | None) -> None:
        fault = "missing" if content is None else "altered"
        super().__init__(Reason.DAMAGED, f"{key} is {fault}; restore it from a backup, or send the film again")
        self.content = content


def read_intact(archive: ReadableArchive, row: ArchivedObject) -> bytes:
    """Return the archived bytes of a row.

    Raises
    ------
    Damaged
        If they are missing, or do not have the digest of the row.
    RetryLater
        If the archive is unreachable.
    """
    with _archive_errors(archive, row.archive_key):
        content = archive.get(row.archive_key)
    if not is_intact(content, row.digest):
        raise Damaged(row.archive_key, content)
    return content


def read_beginning(archive: Archive, key: str, size_bytes: int) -> bytes:
    """Return at most the first `size_bytes` of an archived object, which no digest covers; raise as `read_intact`."""
    with _archive_errors(archive, key):
        return archive.get_beginning(key, size_bytes)


@contextmanager
def _archive_errors(archive: ReadableArchive, key: str) -> Iterator[None]:
    """Raise Damaged if the block finds no object of this key, ArchiveAway if it cannot be read now."""
    try:
        yield
    except KeyError:
        if not archive.has_place_of(key):
            raise ArchiveAway(f"the archive is away: the folder of {key} is not there") from None
        raise Damaged(key, None) from None
    except OSError as error:
        raise ArchiveAway(f"the archive cannot be read: {error.strerror or 'input/output error'}") from error


def is_intact(content: bytes, digest: Digest) -> bool:
    """Whether the data set of the DICOM file `content` has this digest."""
    if len(content) < _META_OFFSET:
        return False
    (meta_bytes,) = struct.unpack_from("<L", content, _GROUP_LENGTH_OFFSET)
    return digest_of(memoryview(content)[_META_OFFSET + meta_bytes :]) == digest
