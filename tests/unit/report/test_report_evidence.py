"""Safe header: complete, valid, and the film itself unchanged."""

from copy import deepcopy
from io import BytesIO

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian

from cxr_node.report.header.safe_header import safe_header
from tests.support import films
from tests.unit.report.studies import with_bytes

_TYPE_2 = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
]


def test_missing_type_2_attributes_become_present_and_empty() -> None:
    header = safe_header(films.cr(changes=dict.fromkeys([*_TYPE_2, "Modality"])))
    for keyword in _TYPE_2:
        assert header[keyword].is_empty
    assert header.Modality == "CR"


def test_the_film_is_not_changed() -> None:
    film = films.dx(changes={"PatientSex": "U"})
    before = deepcopy(film)
    safe_header(film)
    assert film == before


def test_pixels_and_private_elements_are_not_copied() -> None:
    film = films.dx()
    film.private_block(0x0009, "SOMEONE", create=True).add_new(0x01, "LO", "junk")
    film.add_new(0x60003000, "OW", b"\0\0")
    header = safe_header(film)
    assert "PixelData" not in header
    assert all(not element.tag.is_private and element.tag.group < 0x5000 for element in header)


@pytest.mark.parametrize(
    ("keyword", "sent", "expected"),
    [
        ("PatientSex", "U", ""),
        ("PatientSex", "m", "M"),
        ("PatientBirthDate", "19600000", ""),
        ("PatientBirthDate", "1960.05.17", "19600517"),
        ("StudyTime", "10:11:12", "101112"),
        ("StudyTime", "25", ""),
        ("StudyDate", "20240230", ""),
        ("PatientAge", "45Y", "045Y"),
        ("PatientAge", "old", ""),
        ("BodyPartExamined", "chest", "CHEST"),
        ("BodyPartExamined", "Thorax^PA", ""),
        ("PatientWeight", "70.5", 70.5),
        ("TimezoneOffsetFromUTC", "+0530", "+0530"),
        ("TimezoneOffsetFromUTC", "UTC+5", ""),
        ("PatientID", "  0012 34", "  0012 34"),
        ("AccessionNumber", "ACCESSION-NUMBER-LONGER-THAN-16", "ACCESSION-NUMBER-LONGER-THAN-16"),
    ],
)
def test_a_value_is_unchanged_normalized_or_emptied(keyword: str, sent: str, expected: object) -> None:
    film = with_bytes(films.cr(), {keyword: sent.encode()})
    assert safe_header(film)[keyword].value == expected


def test_a_value_that_pydicom_cannot_convert_does_not_stop_the_report() -> None:
    film = with_bytes(films.cr(), {"PatientWeight": b"seventy"})
    assert safe_header(film)["PatientWeight"].is_empty


def test_nested_sequences_are_made_safe() -> None:
    inner = Dataset()
    inner.PatientID = "OTHER-1"
    inner.add_new(0x00091001, "UN", b"x")
    film = films.cr(changes={"OtherPatientIDsSequence": [inner, Dataset()]})
    header = safe_header(film)
    assert [item.PatientID for item in header.OtherPatientIDsSequence] == ["OTHER-1"]
    assert len(header.OtherPatientIDsSequence[0]) == 1


def test_an_element_that_should_be_a_sequence_and_is_none_is_omitted() -> None:
    film = films.cr()
    tag = Tag("OtherPatientIDsSequence")
    film[tag] = DataElement(tag, "LO", ["one", "two"])
    assert "OtherPatientIDsSequence" not in safe_header(film)


def test_the_first_of_several_values_is_used_where_one_is_allowed() -> None:
    film = with_bytes(films.cr(), {"Rows": bytes((64, 0, 65, 0)), "ImagerPixelSpacing": b"0.2\\0.3"})
    assert safe_header(film).Rows == 64
    assert "Columns" not in safe_header(with_bytes(films.cr(), {"Columns": b"\0"}))
    assert list(safe_header(film).ImagerPixelSpacing) == [0.2, 0.3]


def test_a_site_may_overrule_a_wrong_character_set() -> None:
    film = with_bytes(films.cr(), {"SpecificCharacterSet": b"ISO_IR 100", "PatientName": "王^小东".encode("gbk")})
    assert str(safe_header(film, character_sets=["GBK"]).PatientName) == "王^小东"


def test_nothing_of_a_bad_header_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    film = with_bytes(films.cr(), {"PatientWeight": b"Filmer", "PatientName": b"Filmer" * 20, "StudyID": b"F" * 40})
    safe_header(film)
    assert caplog.records == []


def test_a_table_keeps_its_descriptor_and_data_in_implicit_vr() -> None:
    table = Dataset()
    table.LUTDescriptor = [4, 65535, 16]
    table.add_new("LUTData", "OW", b"\x00\x00\x01\x00\x02\x00\x03\x00")
    film = films.cr(changes={"PixelData": None, "VOILUTSequence": [table]})
    film.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    written = BytesIO()
    dcmwrite(written, film, enforce_file_format=True)
    copied = safe_header(dcmread(BytesIO(written.getvalue()))).VOILUTSequence[0]
    assert list(copied.LUTDescriptor) == [4, 65535, 16]
    assert copied.LUTData == table.LUTData
