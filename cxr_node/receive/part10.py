"""DICOM file of a received data set: preamble and File Meta Information (PS3.10 section 7.1).

Encoded here because received UIDs are written as sent: pydicom's checks reject, or warn about, the leading zeros of
some modalities' UIDs.
"""

import struct
from collections.abc import Mapping
from io import BytesIO

from pydicom import Dataset
from pydicom.filereader import read_dataset

from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.domain.instance import Identity, Instance, Sender

_PREAMBLE = bytes(128) + b"DICM"
_META_OFFSET = 144
_GROUP_LENGTH_FOLLOWS = b"DICM" + struct.pack("<HH2sH", 0x0002, 0x0000, b"UL", 4)


def file_head(*, sop_class_uid: Uid, sop_instance_uid: Uid, transfer_syntax_uid: Uid, sender: Sender) -> bytes:
    """Return preamble and File Meta Information of an object.

    With Source, Sending and Receiving Application Entity Title (0002,0016), (0002,0017) and (0002,0018); all text is
    ASCII.
    """
    elements = b"".join(
        (
            struct.pack("<HH2s2xL", 0x0002, 0x0001, b"OB", 2) + b"\x00\x01",
            _text(0x0002, b"UI", sop_class_uid),
            _text(0x0003, b"UI", sop_instance_uid),
            _text(0x0010, b"UI", transfer_syntax_uid),
            _text(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _text(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _text(0x0016, b"AE", sender.calling_ae_title),
            _text(0x0017, b"AE", sender.calling_ae_title),
            _text(0x0018, b"AE", sender.called_ae_title),
        )
    )
    return _PREAMBLE + struct.pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, len(elements)) + elements


def instance_of(
    identity: Identity,
    data_set: memoryview,
    *,
    transfer_syntax_uid: Uid,
    sender: Sender,
    header_values: Mapping[int, bytes] | None = None,
) -> Instance:
    """Return the instance of a data set, whose file has it byte for byte as sent."""
    head = file_head(
        sop_class_uid=identity.sop_class_uid,
        sop_instance_uid=identity.sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        sender=sender,
    )
    return Instance(
        identity=identity,
        transfer_syntax_uid=transfer_syntax_uid,
        digest=digest_of(data_set),
        content=b"".join((head, data_set)),
        header_values=header_values or {},
    )


def meta_of(content: bytes) -> Dataset:
    """Return the File Meta Information of a DICOM file that `file_head` began.

    Raises
    ------
    ValueError
        If the file does not begin with it.
    """
    meta_bytes = len(content) - len(data_set_of(content)) - _META_OFFSET
    meta = BytesIO(content[_META_OFFSET : _META_OFFSET + meta_bytes])
    return read_dataset(meta, is_implicit_VR=False, is_little_endian=True)


def data_set_of(content: bytes) -> memoryview:
    """Return the data set of a DICOM file, located by File Meta Information Group Length (0002,0000).

    Raises
    ------
    ValueError
        If the file does not begin with it.
    """
    if content[128:140] != _GROUP_LENGTH_FOLLOWS or len(content) < _META_OFFSET:
        raise ValueError("no File Meta Information Group Length")
    (length,) = struct.unpack_from("<L", content, 140)
    return memoryview(content)[_META_OFFSET + length :]


def _text(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii")
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value
