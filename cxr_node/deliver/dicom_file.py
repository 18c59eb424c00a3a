"""DICOM file to send: its UIDs, transfer syntax and uncompressed alternatives.

A conversion imports pydicom, as every command loads the kinds of destinations.
"""

from dataclasses import dataclass
from io import BytesIO

from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.domain.element_values import (
    MEDIA_STORAGE_SOP_CLASS_UID,
    MEDIA_STORAGE_SOP_INSTANCE_UID,
    TRANSFER_SYNTAX_UID,
    file_meta_and_data_set,
)
from cxr_node.domain.identifiers import Uid, parse_uid

_IMPLICIT_VR_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2")
_EXPLICIT_VR_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2.1")
_DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2.1.99")
UNCOMPRESSED = (_EXPLICIT_VR_LITTLE_ENDIAN, _IMPLICIT_VR_LITTLE_ENDIAN, _DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
"""Encodings that convert without a change of values. Not big endian: pixel data would have to be swapped."""
JPEG_BASELINE = Uid("1.2.840.10008.1.2.4.50")
_PREFIX, _PREFIX_OFFSET = b"DICM", 128
_SECONDARY_CAPTURE = Uid("1.2.840.10008.5.1.4.1.1.7")


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomFile:
    """An object to send: its UIDs and its file."""

    sop_class_uid: Uid
    sop_instance_uid: Uid
    transfer_syntax_uid: Uid
    content: bytes

    @property
    def alternatives(self) -> tuple[Uid, ...]:
        """Other transfer syntaxes that it can be converted to; of JPEG these have the pixels that it shows."""
        if self.transfer_syntax_uid not in (*UNCOMPRESSED, JPEG_BASELINE):
            return ()
        return tuple(uid for uid in UNCOMPRESSED if uid != self.transfer_syntax_uid)


def transfer_syntaxes_of(sop_class_uid: Uid) -> tuple[Uid, ...]:
    """Return the transfer syntaxes in which results of a SOP Class can be sent."""
    return (*UNCOMPRESSED, JPEG_BASELINE) if sop_class_uid == _SECONDARY_CAPTURE else UNCOMPRESSED


def read_dicom_file(content: bytes) -> DicomFile:
    """Parse the File Meta Information of the DICOM file `content` (PS3.10 section 7.1).

    Raises
    ------
    DeliveryRejected
        If it is no DICOM file.
    """
    try:
        is_file = content[_PREFIX_OFFSET : _PREFIX_OFFSET + len(_PREFIX)] == _PREFIX
        values = file_meta_and_data_set(content)[0] if is_file else {}
        sop_class_uid, sop_instance_uid, transfer_syntax_uid = (
            parse_uid(values.get(tag, b"").decode("ascii"))
            for tag in (MEDIA_STORAGE_SOP_CLASS_UID, MEDIA_STORAGE_SOP_INSTANCE_UID, TRANSFER_SYNTAX_UID)
        )
    except ValueError:
        raise DeliveryRejected("not a DICOM file with valid File Meta Information") from None
    return DicomFile(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        content=content,
    )


def converted(file: DicomFile, *, transfer_syntax_uid: Uid) -> DicomFile:
    """Return the object encoded in one of its `alternatives`."""
    from pydicom import dcmread, dcmwrite
    from pydicom.uid import UID

    data_set = dcmread(BytesIO(file.content))
    if file.transfer_syntax_uid == JPEG_BASELINE:
        from pydicom.pixels.utils import decompress

        decompress(data_set, as_rgb=True, generate_instance_uid=False, decoding_plugin="pillow")
    data_set.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    written = BytesIO()
    dcmwrite(
        written,
        data_set,
        implicit_vr=transfer_syntax_uid == _IMPLICIT_VR_LITTLE_ENDIAN,
        little_endian=True,
        enforce_file_format=True,
    )
    return DicomFile(
        sop_class_uid=file.sop_class_uid,
        sop_instance_uid=file.sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        content=written.getvalue(),
    )
