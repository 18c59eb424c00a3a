"""Who a received object is, from its bytes."""

import struct
import zlib

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Identity
from cxr_node.receive.identify import DataSetMismatch, check_request, identify, patient_key
from tests.support import films

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"


def encoded(film: Dataset, transfer_syntax_uid: str = EXPLICIT) -> bytes:
    syntax = UID(transfer_syntax_uid)
    data_set = encode(film, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    assert data_set is not None
    return data_set


def identity_of(data_set: bytes, transfer_syntax_uid: str = EXPLICIT) -> Identity:
    return identify(memoryview(data_set), transfer_syntax_uid=Uid(transfer_syntax_uid))


@pytest.mark.parametrize(
    "transfer_syntax_uid", [EXPLICIT, IMPLICIT, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_an_object_is_identified_in_every_encoding(transfer_syntax_uid: str) -> None:
    film = films.dx(seed=1)

    identity = identity_of(encoded(film, transfer_syntax_uid), transfer_syntax_uid)

    assert identity.sop_class_uid == film.SOPClassUID
    assert identity.sop_instance_uid == film.SOPInstanceUID
    assert identity.series_instance_uid == film.SeriesInstanceUID
    assert identity.study_instance_uid == film.StudyInstanceUID
    assert identity.patient_key == patient_key(b"", b"CXR-TEST-0001", b"Filmer^Testa", b"19610412")


def test_pixel_data_is_not_read() -> None:
    data_set = encoded(films.dx())
    identity = identity_of(data_set)
    assert identity_of(data_set[: data_set.index(b"\xe0\x7f\x10\x00") + 9]) == identity


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", [None, ""])
def test_an_object_without_one_of_its_uids_is_rejected(keyword: str, value: str | None) -> None:
    with pytest.raises(RejectObject, match="is missing"):
        identity_of(encoded(films.dx(changes={keyword: value})))


def test_a_uid_with_a_path_is_rejected_and_not_quoted() -> None:
    data_set = encoded(films.dx())
    instance_uid = films.dx().SOPInstanceUID.encode()
    evil = b"../../etc/cron.d/x".ljust(len(instance_uid), b"1")

    with pytest.raises(RejectObject, match=r"SOP Instance UID \(0008,0018\) is not a UID") as refused:
        identity_of(data_set.replace(instance_uid, evil))
    assert "etc" not in str(refused.value)


def test_a_uid_with_non_ascii_characters_is_rejected() -> None:
    data_set = encoded(films.dx())
    instance_uid = films.dx().SOPInstanceUID.encode()
    with pytest.raises(RejectObject, match="is not a UID"):
        identity_of(data_set.replace(instance_uid, b"\xb2" + instance_uid[1:]))


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 4096,
        b"\0" * 4096,
        bytes(range(256)) * 16,
        bytes(128) + b"DICM" + bytes(200),
    ],
)
@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT, IMPLICIT, ExplicitVRBigEndian])
def test_bytes_that_are_no_data_set_are_rejected(junk: bytes, transfer_syntax_uid: str) -> None:
    with pytest.raises(RejectObject):
        identity_of(junk, transfer_syntax_uid)


def test_a_truncated_header_is_rejected() -> None:
    data_set = encoded(films.dx())
    end_of_series = data_set.index(b"\x20\x00\x0e\x00")
    for length in range(end_of_series):
        with pytest.raises(RejectObject):
            identity_of(data_set[:length])


def test_private_elements_before_the_uids_are_skipped() -> None:
    film = films.dx()
    expected = identity_of(encoded(film))
    data_set = encoded(film)
    junk = b"".join(
        (
            struct.pack("<HH2sHL", 0x0009, 0x1001, b"UN", 0, 5) + b"\xff\xfe\x00\x01\x02",  # odd length
            struct.pack("<HH2sHL", 0x0009, 0x1002, b"ZZ", 0, 4) + b"what",  # a VR that does not exist
            struct.pack("<HHL", 0x0009, 0x1003, 4) + b"\x00\x00\x00\x00",  # implicit VR amid explicit
            struct.pack("<HH2sH", 0x0009, 0x1004, b"PN", 6) + b"\x1b$B\xff\xff\xff",  # a broken character set
        )
    )
    at = data_set.index(b"\x10\x00\x10\x00PN")
    assert identity_of(data_set[:at] + junk + data_set[at:]) == expected


def test_sequences_of_undefined_length_are_skipped() -> None:
    film = films.dx()
    expected = identity_of(encoded(film))
    data_set = encoded(film)
    fake_uid = struct.pack("<HH2sH", 0x0008, 0x0018, b"UI", 6) + b"1.2.3\0"
    fake_uid_implicit = struct.pack("<HHL", 0x0008, 0x0018, 6) + b"1.2.3\0"
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end_of_item = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    end_of_sequence = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)

    def sequence(element: int, vr: bytes, inside: bytes) -> bytes:
        return struct.pack("<HH2sHL", 0x0009, element, vr, 0, 0xFFFFFFFF) + inside + end_of_sequence

    nested = sequence(0x1001, b"SQ", item + fake_uid + end_of_item)
    defined = struct.pack("<HHL", 0xFFFE, 0xE000, len(fake_uid)) + fake_uid
    junk = (
        sequence(0x1001, b"SQ", item + nested + fake_uid + end_of_item + defined)
        + sequence(0x1002, b"UN", item + fake_uid_implicit + end_of_item)
        + sequence(0x1003, b"OB", defined)
    )
    at = data_set.index(b"\x10\x00\x10\x00PN")
    assert identity_of(data_set[:at] + junk + data_set[at:]) == expected


def test_endless_nested_sequences_are_rejected_without_recursion() -> None:
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    opened = struct.pack("<HH2sHL", 0x0008, 0x0006, b"SQ", 0, 0xFFFFFFFF) + item
    with pytest.raises(RejectObject):
        identity_of(opened * 100_000)


def test_a_deflate_bomb_is_not_inflated_to_its_end() -> None:
    bomb = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    header = struct.pack("<HH2sHL", 0x0009, 0x1001, b"OB", 0, 16 << 20)
    data_set = bomb.compress(header) + bomb.compress(bytes(16 << 20)) + bomb.flush()
    with pytest.raises(RejectObject, match="longer than the data set"):  # inflated whole, it would lack UIDs instead
        identity_of(data_set, DeflatedExplicitVRLittleEndian)


def test_a_data_set_that_does_not_inflate_is_rejected() -> None:
    with pytest.raises(RejectObject, match="inflated"):
        identity_of(b"\xff\xff\xff\xff", DeflatedExplicitVRLittleEndian)


def test_a_request_for_another_object_does_not_match() -> None:
    film = films.dx()
    identity = identity_of(encoded(film))

    check_request(identity, affected_sop_class_uid=film.SOPClassUID, affected_sop_instance_uid=film.SOPInstanceUID)
    with pytest.raises(DataSetMismatch, match="SOP Instance UID"):
        check_request(identity, affected_sop_class_uid=film.SOPClassUID, affected_sop_instance_uid="1.2.3")
    with pytest.raises(DataSetMismatch, match="SOP Class UID"):
        check_request(identity, affected_sop_class_uid="1.2.3", affected_sop_instance_uid=film.SOPInstanceUID)


def test_padding_and_encoding_do_not_change_the_patient_key() -> None:
    assert patient_key(b"", b"12 ", b"Roe^Jane", b"19700101") == patient_key(b"", b"12", b"Roe^Jane ", b"19700101")
    film = films.dx()
    implicit = identity_of(encoded(film, ImplicitVRLittleEndian), ImplicitVRLittleEndian)
    assert implicit == identity_of(encoded(film))


@pytest.mark.parametrize(
    "other",
    [
        (b"HOSPITAL B", b"12", b"Roe^Jane", b"19700101"),
        (b"", b"13", b"Roe^Jane", b"19700101"),
        (b"", b"12", b"ROE^JANE", b"19700101"),
        (b"", b"12", b"Roe^Jane", b"19700102"),
        (b"12", b"", b"Roe^Jane", b"19700101"),
    ],
)
def test_patients_that_differ_in_one_value_have_two_keys(other: tuple[bytes, bytes, bytes, bytes]) -> None:
    assert patient_key(*other) != patient_key(b"", b"12", b"Roe^Jane", b"19700101")


def test_a_patient_key_does_not_contain_the_identifiers() -> None:
    key = patient_key(b"", b"12", b"Roe^Jane", b"19700101")
    assert len(key) == 64
    assert "Roe" not in key
