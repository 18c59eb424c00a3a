"""DICOM file format of results (PS3.10 section 7), and encoding of a document around its encoded tree."""

import struct

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.domain.instance import Identity, Instance
from cxr_node.report.header.encoding import encoded

_CONTENT_SEQUENCE = 0x0040A730
_PREAMBLE = b"\0" * 128 + b"DICM"


def spliced(header: Dataset, root: Dataset, root_encoded: bytes) -> bytes:
    """Return header and content tree encoded as one data set, without encoding the tree's items a second time.

    Parameters
    ----------
    header
        The document without its content tree.
    root
        The root content item.
    root_encoded
        `encoded(root)`, which ends with the Content Sequence, the last element of a root.
    """
    outer = Dataset()
    outer.update(root)
    del outer.ContentSequence
    children = root_encoded[len(encoded(outer)) :]
    outer.update(header)
    return encoded(outer[:_CONTENT_SEQUENCE]) + children + encoded(outer[_CONTENT_SEQUENCE:])


def instance_of(body: bytes, identity: Identity, transfer_syntax_uid: UID = ExplicitVRLittleEndian) -> Instance:
    """Return an encoded data set as an instance."""
    return Instance(
        identity=identity,
        transfer_syntax_uid=Uid(transfer_syntax_uid),
        digest=digest_of(body),
        content=_PREAMBLE + _file_meta_information(identity, transfer_syntax_uid) + body,
    )


def _file_meta_information(identity: Identity, transfer_syntax_uid: UID) -> bytes:
    elements = b"".join(
        (
            _meta_element(0x0001, b"OB", b"\0\1"),
            _meta_element(0x0002, b"UI", identity.sop_class_uid.encode()),
            _meta_element(0x0003, b"UI", identity.sop_instance_uid.encode()),
            _meta_element(0x0010, b"UI", transfer_syntax_uid.encode()),
            _meta_element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode()),
            _meta_element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode()),
        )
    )
    return _meta_element(0x0000, b"UL", struct.pack("<I", len(elements))) + elements


def _meta_element(element: int, vr: bytes, value: bytes) -> bytes:
    """Return an element of group 0002 (PS3.5 section 7.1.2), padded to an even length: UIDs by a null (section 9.1)."""
    padded = value + (b"" if len(value) % 2 == 0 else b" " if vr == b"SH" else b"\0")
    length = struct.pack("<2xI" if vr == b"OB" else "<H", len(padded))
    return struct.pack("<HH", 0x0002, element) + vr + length + padded
