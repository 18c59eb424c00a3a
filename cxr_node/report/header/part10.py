"""DICOM file format of results (PS3.10 section 7), and encoding of a document around its encoded tree."""

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
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
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(identity.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(identity.sop_instance_uid)
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    target = DicomBytesIO()
    write_file_meta_info(target, meta)
    return target.getvalue()
