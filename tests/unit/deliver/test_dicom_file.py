"""DICOM file to send: UIDs of its File Meta Information, as a full parser reads them."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.deliver.dicom_file import read_dicom_file
from tests.support import films

_AFTER_PREFIX = 132


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return films.written(films.dx(), tmp_path).read_bytes()


def test_uids_are_those_that_a_full_parser_reads(content: bytes) -> None:
    file, meta = read_dicom_file(content), dcmread(BytesIO(content)).file_meta

    assert file.sop_class_uid == str(meta.MediaStorageSOPClassUID)
    assert file.sop_instance_uid == str(meta.MediaStorageSOPInstanceUID)
    assert file.transfer_syntax_uid == str(meta.TransferSyntaxUID)
    assert file.content is content


def test_what_is_no_dicom_file_is_rejected(content: bytes) -> None:
    without_prefix = content[:128] + b"DICN" + content[_AFTER_PREFIX:]
    without_meta = content[:_AFTER_PREFIX] + content[films.data_set_offset(content) :]
    for damaged in (b"", b"GIF89a", bytes(128) + b"DICM", bytes(200), without_prefix, without_meta):
        with pytest.raises(DeliveryRejected, match="not a DICOM file"):
            read_dicom_file(damaged)


@pytest.mark.parametrize("keyword", ["MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID"])
def test_a_file_without_a_valid_uid_is_rejected(content: bytes, keyword: str) -> None:
    uid = str(getattr(dcmread(BytesIO(content)).file_meta, keyword)).encode()
    at = content.index(uid, _AFTER_PREFIX)
    damaged = content[:at] + b"x" * len(uid) + content[at + len(uid) :]

    with pytest.raises(DeliveryRejected):
        read_dicom_file(damaged)


def test_a_file_that_ends_within_its_meta_information_is_rejected(content: bytes) -> None:
    at = content.index(str(dcmread(BytesIO(content)).file_meta.TransferSyntaxUID).encode(), _AFTER_PREFIX)

    for size in (_AFTER_PREFIX + 5, at - 3, at + 4):
        with pytest.raises(DeliveryRejected):
            read_dicom_file(content[:size])
