"""A data set as the bytes that are stored and sent (PS3.10 section 7)."""

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian

from cxr_node.domain.identifiers import Uid, derive_uid, digest_of
from cxr_node.domain.instance import Identity, Instance

_PREAMBLE = b"\0" * 128 + b"DICM"


def encoded(dataset: Dataset) -> bytes:
    """Return a data set in Explicit VR Little Endian and UTF-8, without File Meta Information."""
    target = DicomBytesIO()
    target.is_little_endian = True
    target.is_implicit_VR = False
    write_dataset(target, dataset, parent_encoding="utf8")
    return target.getvalue()


def instance_of(dataset: Dataset, identity: Identity) -> Instance:
    """Return a data set as an instance."""
    body = encoded(dataset)
    return Instance(
        identity=identity,
        transfer_syntax_uid=Uid(ExplicitVRLittleEndian),
        digest=digest_of(body),
        content=_PREAMBLE + _file_meta_information(identity) + body,
    )


def _file_meta_information(identity: Identity) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(identity.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(identity.sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(derive_uid("implementation"))
    meta.ImplementationVersionName = "CXR-NODE"
    target = DicomBytesIO()
    write_file_meta_info(target, meta)
    return target.getvalue()
