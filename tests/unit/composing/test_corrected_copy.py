"""Copies of films with another patient, in each form that films are encoded in."""

import struct
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from cxr_node.composing.corrected_copy import (
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    PATIENT_SEX,
    corrected_copy,
)
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.patient_update import CannotUpdate
from cxr_node.receive.identify import identify
from cxr_node.receive.part10 import data_set_of
from tests.support import films
from tests.support.node import received

AT = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
NEW = {PATIENT_NAME: "Right^Patient", PATIENT_ID: "RIGHT", PATIENT_BIRTH_DATE: "", PATIENT_SEX: "O"}
SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
)


def film(syntax: UID, **changes: object) -> Dataset:
    dataset = films.dx(changes=changes)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.add_new(0x00091001, "UN", b"private bytes")
    if syntax.is_encapsulated and not syntax.is_deflated:
        dataset.PixelData = encapsulate([b"\xff\xd8 no picture \xff\xd9"])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    return dataset


def copied(content: bytes, syntax: UID, new: dict[int, str]) -> bytes | None:
    """Return the copy of a film as a DICOM file."""
    data_set = data_set_of(content) if content[128:132] == b"DICM" else memoryview(content)
    copy = corrected_copy(data_set, new, transfer_syntax_uid=Uid(syntax), character_sets=None, system="node", at=AT)
    return None if copy is None else content[: len(content) - len(data_set)] + copy.data_set


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_a_copy_states_the_patient_and_every_other_byte_of_its_film(syntax: UID) -> None:
    content = received(film(syntax)).content
    once = copied(content, syntax, NEW)
    assert once is not None
    assert copied(once, syntax, NEW) is None
    twice = copied(once, syntax, {PATIENT_ID: "THIRD"})
    assert twice is not None

    before, after = dcmread(BytesIO(content)), dcmread(BytesIO(twice))
    assert identify(data_set_of(twice), transfer_syntax_uid=Uid(syntax)).sop_instance_uid == before.SOPInstanceUID
    assert (str(after.PatientName), after.PatientID, after.PatientBirthDate, after.PatientSex) == (
        "Right^Patient",
        "THIRD",
        "",
        "O",
    )
    first, second = after.OriginalAttributesSequence
    was = first.ModifiedAttributesSequence[0]
    assert (was.PatientID, was.PatientBirthDate) == (before.PatientID, before.PatientBirthDate)
    assert second.ModifiedAttributesSequence[0].PatientID == "RIGHT"
    assert first.AttributeModificationDateTime == "20260102120000.000000+0000"
    for one in (before, after):
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "OriginalAttributesSequence"):
            one.pop(keyword, None)
    assert before == after


def test_group_lengths_that_are_wrong_now_are_left_out() -> None:
    content = received(film(ExplicitVRLittleEndian)).content
    lengths = {0x10: struct.pack("<HH2sHL", 0x10, 0, b"UL", 4, 4), 0x20: struct.pack("<HH2sHL", 0x20, 0, b"UL", 4, 4)}
    content = content.replace(b"\x10\0\x10\0PN", lengths[0x10] + b"\x10\0\x10\0PN", 1)
    content = content.replace(b"\x20\0\x0d\0UI", lengths[0x20] + b"\x20\0\x0d\0UI", 1)
    copy = copied(content, ExplicitVRLittleEndian, NEW)

    assert copy is not None
    assert [group in copy for group in lengths.values()] == [False, True]
    assert dcmread(BytesIO(copy)).PatientID == "RIGHT"


def test_an_element_that_the_film_lacks_is_inserted_in_its_place() -> None:
    content = received(film(ExplicitVRLittleEndian, PatientSex=None, PatientBirthDate=None)).content
    copy = copied(content, ExplicitVRLittleEndian, {**NEW, PATIENT_BIRTH_DATE: "19610203"})

    assert copy is not None
    after = dcmread(BytesIO(copy))
    assert (after.PatientBirthDate, after.PatientSex) == ("19610203", "O")
    assert list(after.keys()) == sorted(after.keys())


@pytest.mark.parametrize(
    ("character_set", "expected"),
    [("ISO_IR 100", "ISO_IR 100"), ("ISO_IR 192", "ISO_IR 192"), (None, "ISO_IR 192")],
)
def test_a_name_is_written_in_the_character_set_of_the_film(character_set: str | None, expected: str) -> None:
    content = received(film(ExplicitVRLittleEndian, SpecificCharacterSet=character_set)).content
    copy = copied(content, ExplicitVRLittleEndian, {PATIENT_NAME: "Müller^Jörg"})

    assert copy is not None
    after = dcmread(BytesIO(copy))
    assert (after.SpecificCharacterSet, str(after.PatientName)) == (expected, "Müller^Jörg")


def test_a_name_that_the_character_set_lacks_is_an_error() -> None:
    with pytest.raises(CannotUpdate, match="character set"):
        copied(received(film(ExplicitVRLittleEndian)).content, ExplicitVRLittleEndian, {PATIENT_NAME: "山田^太郎"})


def test_a_japanese_film_gets_a_japanese_name() -> None:
    sets = ["", "ISO 2022 IR 87"]
    content = received(film(ExplicitVRLittleEndian, SpecificCharacterSet=sets)).content
    copy = copied(content, ExplicitVRLittleEndian, {PATIENT_NAME: "Yamada^Tarou=山田^太郎"})

    assert copy is not None
    assert str(dcmread(BytesIO(copy)).PatientName) == "Yamada^Tarou=山田^太郎"


def test_what_is_no_data_set_is_an_error() -> None:
    with pytest.raises(CannotUpdate, match="cannot be read"):
        copied(b"\x10\x00\x10\x00PN\xff\x00", ExplicitVRLittleEndian, NEW)
