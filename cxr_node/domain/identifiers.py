"""UIDs, AE titles and digests, parsed once at the edge."""

import hashlib
import re
import uuid
from typing import NewType

Uid = NewType("Uid", str)
AeTitle = NewType("AeTitle", str)
Digest = NewType("Digest", str)

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_UID_CHARACTERS = 64
_AE_TITLE_CHARACTERS = 16
_NAMESPACE = uuid.UUID("6a1d5d0e-6a0c-5b0e-9d4e-3f0f5b7f2c11")


def parse_uid(text: str) -> Uid:
    """Return `text` as a unique identifier, without trailing padding.

    PS3.5 section 9.1 and table 6.2-1. Leading zeros in components stay: the standard forbids them, but modalities send
    them, and without them it is another UID.

    Raises
    ------
    ValueError
        If it is empty, longer than 64 characters, or holds anything but digits and single dots.
    """
    uid = text.rstrip("\0 ")
    if len(uid) > _UID_CHARACTERS or _UID.fullmatch(uid) is None:
        raise ValueError(f"not a DICOM UID (digits and dots, at most {_UID_CHARACTERS}): {uid[:80]!r}")
    return Uid(uid)


def parse_ae_title(text: str) -> AeTitle:
    r"""Return `text` as an Application Entity title, without the padding that is not significant.

    PS3.5 table 6.2-1, VR AE.

    Raises
    ------
    ValueError
        If it is blank, longer than 16 characters, not ASCII, or holds a backslash or control character.
    """
    title = text.strip(" ")
    printable = title.isascii() and title.isprintable() and "\\" not in title
    if not title or len(title) > _AE_TITLE_CHARACTERS or not printable:
        raise ValueError(f"not an AE title (1 to {_AE_TITLE_CHARACTERS} printable characters): {title[:40]!r}")
    return AeTitle(title)


def parse_digest(text: str) -> Digest:
    """Return `text` as a SHA-256 digest of 64 lower-case hexadecimal digits, or raise ValueError."""
    if _DIGEST.fullmatch(text) is None:
        raise ValueError(f"not a SHA-256 digest: {text[:80]!r}")
    return Digest(text)


def digest_of(content: bytes | memoryview) -> Digest:
    """Return the SHA-256 digest of `content`."""
    return Digest(hashlib.sha256(content).hexdigest())


def derive_uid(*parts: str) -> Uid:
    """Return the UID derived from `parts`: the same on every machine.

    A UUID-derived UID (PS3.5 section B.2) of a version 5 UUID, at most 44 characters. The separator occurs in no
    UID, digest or keyword, so ("ab", "c") and ("a", "bc") differ.
    """
    return Uid(f"2.25.{uuid.uuid5(_NAMESPACE, chr(0x1F).join(parts)).int}")


def new_uid() -> Uid:
    """Return a UID from a random UUID (PS3.5 section B.2)."""
    return Uid(f"2.25.{uuid.uuid4().int}")
