"""Archive protocol and keys: the storage seam."""

import re
from collections.abc import Iterator
from typing import Protocol

from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Digest, Uid, digest_of
from cxr_node.domain.instance import StagedObject

_KEY = re.compile(r"(films|results|priors)/[0-9a-f]{2}/[0-9a-z.]{1,120}\.dcm|bundles/[0-9a-f]{2}/[0-9a-f]{64}\.zip")


class ArchiveAway(RetryLater):
    """The archive cannot be read now: its folder is not there, or its disk fails."""


class OutOfSpace(RetryLater):
    """The disk is full; nothing is stored."""


class ReadableArchive(Protocol):
    """Content by key, to read it."""

    def get(self, key: str) -> bytes:
        """Return the content of `key`, or raise KeyError."""
        ...

    def has_place_of(self, key: str) -> bool:
        """Whether the place of a key that was stored once is there; it is not while the archive is away."""
        ...


class Archive(ReadableArchive, Protocol):
    """Content by key. A key is from a function of this module, never from a peer's string."""

    def put(self, key: str, content: bytes) -> None:
        """Store `content` under `key` atomically; on return it survives a power failure.

        Raises
        ------
        OutOfSpace
            If the disk is full.
        RetryLater
            If the store has not confirmed.
        OSError
            If it cannot be stored for another reason.
        """

    def stage(self) -> StagedObject:
        """Return a staged object, to write bytes as they arrive and commit them under a key."""
        ...

    def get_beginning(self, key: str, size_bytes: int) -> bytes:
        """Return at most the first `size_bytes` of the content of `key`, or raise KeyError."""
        ...

    def discard(self, key: str) -> None:
        """Remove `key`, if it exists."""

    def stored_keys(self) -> Iterator[str]:
        """Yield the keys of all films, results and fetched films, in no order."""
        ...

    def __contains__(self, key: str) -> bool:
        """Whether `key` exists."""
        ...

    def clear_staging(self) -> int:
        """Remove staged objects left by an earlier run, and return their number.

        Only before the first role starts: it would remove objects that others write.
        """
        ...


def film_key(digest: Digest) -> str:
    """Return the key of a received film, by its content: the same bytes are stored once."""
    return f"films/{digest[:2]}/{digest}.dcm"


def is_film_key(key: str) -> bool:
    """Whether a key is that of a received film."""
    return key.startswith("films/")


def digest_of_film_key(key: str) -> Digest:
    """Return the digest of the data set that the key of a film names."""
    return Digest(key.rpartition("/")[2].removesuffix(".dcm"))


def prior_key(digest: Digest) -> str:
    """Return the key of a film that was fetched to be compared with, by its content."""
    return f"priors/{digest[:2]}/{digest}.dcm"


def result_key(sop_instance_uid: Uid) -> str:
    """Return the key of a result object, whose UID follows from its content."""
    return f"results/{digest_of(sop_instance_uid.encode())[:2]}/{sop_instance_uid}.dcm"


def bundle_key(digest: Digest) -> str:
    """Return the key of a bundle, by its content: every host can fetch the activated bundle."""
    return f"bundles/{digest[:2]}/{digest}.zip"


def check_key(key: str) -> str:
    """Return `key` if it is valid, else raise ValueError."""
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"not an archive key: {key[:160]!r}")
    return key
