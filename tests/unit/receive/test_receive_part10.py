"""The head of a DICOM file, read back by another writer's reader."""

from io import BytesIO

from pydicom import dcmread

from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.domain.instance import Sender
from cxr_node.receive.part10 import file_head

SENDER = Sender(calling_ae_title=AeTitle("DX1"), called_ae_title=AeTitle("CXRNODE"), address="127.0.0.1")


def head_of(sop_instance_uid: str) -> bytes:
    return file_head(
        sop_class_uid=Uid("1.2.840.10008.5.1.4.1.1.1"),
        sop_instance_uid=Uid(sop_instance_uid),
        transfer_syntax_uid=Uid("1.2.840.10008.1.2.4.70"),
        sender=SENDER,
    )


def test_the_head_has_uids_transfer_syntax_and_ae_titles() -> None:
    meta = dcmread(BytesIO(head_of("1.2.3"))).file_meta

    assert meta.FileMetaInformationVersion == b"\x00\x01"
    assert meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.1"
    assert meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
    assert str(meta.ImplementationClassUID) == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.SourceApplicationEntityTitle == "DX1"
    assert meta.SendingApplicationEntityTitle == "DX1"
    assert meta.ReceivingApplicationEntityTitle == "CXRNODE"


def test_the_group_length_locates_the_data_set() -> None:
    for uid in ("1.2.3", "1.2.34"):  # odd and even
        head = head_of(uid)
        assert len(head) % 2 == 0
        assert 144 + int.from_bytes(head[140:144], "little") == len(head)
        assert head[:132] == bytes(128) + b"DICM"


def test_a_uid_with_leading_zeros_is_written_as_sent() -> None:
    assert b"1.2.007.3\0" in head_of("1.2.007.3")
