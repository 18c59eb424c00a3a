"""Integrity of stored files: digest of the data set."""

import struct

from cxr_node.domain.identifiers import Digest, digest_of

_GROUP_LENGTH_OFFSET = 140
_META_OFFSET = 144
"""Offset after preamble, prefix and the group length element of the File Meta Information (PS3.10 section 7.1)."""


def is_intact(content: bytes, digest: Digest) -> bool:
    """Whether the data set of the DICOM file `content` has this digest."""
    if len(content) < _META_OFFSET:
        return False
    (meta_bytes,) = struct.unpack_from("<L", content, _GROUP_LENGTH_OFFSET)
    return digest_of(memoryview(content)[_META_OFFSET + meta_bytes :]) == digest
