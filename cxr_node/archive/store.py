"""What every archive promises: the contract of the storage seam."""

import re
from collections.abc import Iterator
from typing import Protocol

from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Digest, Uid, digest_of
from cxr_node.domain.instance import StagedObject

_KEY = re.compile(r"(films|results)/[0-9a-f]{2}/[0-9a-z.]{1,120}\.dcm|bundles/[0-9a-f]{2}/[0-9a-f]{64}\.zip")


class OutOfSpace(RetryLater):
    """There is no room to keep the bytes; nothing of them was left behind."""


class Archive(Protocol):
    """Bytes by key. A key comes from `film_key`, `result_key` or `bundle_key`, never from a peer's string."""

    def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`; when this returns it survives a power cut. A key is written whole or not at all.

        Raises
        ------
        OutOfSpace
            If there is no room for it.
        RetryLater
            If whoever keeps it has not confirmed.
        OSError
            If it cannot be kept for another reason.
        """

    def stage(self) -> StagedObject:
        """Return what takes bytes as they arrive, and keeps them whole under a key as `put` does."""
        ...

    def get(self, key: str) -> bytes:
        """Return what is kept under `key`, or raise KeyError."""

    def discard(self, key: str) -> None:
        """Forget `key`, if it is there."""

    def kept_keys(self) -> Iterator[str]:
        """Yield every key that a film or a result is kept under, in no order."""
        ...

    def __contains__(self, key: str) -> bool:
        """Whether something is kept under `key`."""
        ...

    def clear_staging(self) -> int:
        """Remove what was half written when the node last stopped, and return how much that was.

        Only to be called while nobody writes: at the start, before the first role runs.
        """
        ...


def film_key(digest: Digest) -> str:
    """Return the key of a received film: it is named by its content, so the same bytes are kept once."""
    return f"films/{digest[:2]}/{digest}.dcm"


def result_key(sop_instance_uid: Uid) -> str:
    """Return the key of a result object, whose UID follows from its content."""
    return f"results/{digest_of(sop_instance_uid.encode())[:2]}/{sop_instance_uid}.dcm"


def bundle_key(digest: Digest) -> str:
    """Return the key of a bundle, named by its content: where every host can get what all are to read with."""
    return f"bundles/{digest[:2]}/{digest}.zip"


def check_key(key: str) -> str:
    """Return `key` if it has the form of one, else raise ValueError."""
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"not an archive key: {key[:160]!r}")
    return key
