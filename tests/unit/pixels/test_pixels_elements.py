"""Elements read so that nothing a peer wrote raises or warns."""

import io
import math
import struct

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from cxr_node.pixels import elements


def raw(tag: int, vr: str | None, value: bytes | None, *, little: bool = True) -> Dataset:
    """Return a data set with one element as it comes off the wire."""
    dataset = Dataset()
    length = 0 if value is None else len(value)
    dataset[Tag(tag)] = RawDataElement(Tag(tag), vr, length, value, 0, vr is None, little)
    return dataset


CENTER, ROWS, SPACING = 0x00281050, 0x00280010, 0x00280030


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"40\\ 80 ", (40.0, 80.0)),
        (b"1e3 ", (1000.0,)),
        (b"", ()),
        (b"  ", ()),
        (None, ()),
    ],
)
def test_decimal_strings_are_numbers(value: bytes | None, expected: tuple[float, ...]) -> None:
    assert elements.numbers(raw(CENTER, "DS", value), "WindowCenter") == expected


@pytest.mark.parametrize("value", [b"NaN", b"inf ", b"-inf", b"wide", b"1,2,5", b"\xff\xfe", b"0x10"])
def test_what_is_no_finite_number_is_none(value: bytes) -> None:
    dataset = raw(CENTER, "DS", value + b"\\7")
    assert elements.number(dataset, "WindowCenter") is None
    values = elements.numbers(dataset, "WindowCenter")
    assert math.isnan(values[0])
    assert values[1] == 7


@pytest.mark.parametrize(
    ("vr", "value", "little", "expected"),
    [
        ("US", b"\x34\x12", True, 0x1234),
        ("US", b"\x12\x34", False, 0x1234),
        (None, b"\x34\x12", True, 0x1234),
        ("UN", b"\x34\x12", True, 0x1234),
        ("SS", b"\xff\xff", True, -1),
        ("DS", b"12.0", True, 12),
        ("DS", b"12.5", True, None),
        ("US", b"\x34", True, None),
        ("US", b"", True, None),
        ("FD", struct.pack("<d", math.nan), True, None),
        ("FD", struct.pack("<d", 7.0), True, 7),
    ],
)
def test_integers_are_read_by_the_vr_of_the_film_else_of_the_dictionary(
    vr: str | None, value: bytes, little: bool, expected: int | None
) -> None:
    assert elements.integer(raw(ROWS, vr, value, little=little), "Rows") == expected


def test_text_is_stripped_of_its_padding() -> None:
    assert elements.texts(raw(0x00200020, "CS", b"L \\F\0"), "PatientOrientation") == ("L", "F")
    assert elements.text(raw(0x00200020, "CS", b""), "PatientOrientation") == ""


def test_values_already_converted_are_read_too() -> None:
    dataset = Dataset()
    dataset.WindowCenter = [40, 80]
    dataset.Rows = 7
    dataset.PatientOrientation = ["L", "F"]
    assert elements.numbers(dataset, "WindowCenter") == (40.0, 80.0)
    assert elements.integer(dataset, "Rows") == 7
    assert elements.texts(dataset, "PatientOrientation") == ("L", "F")


def test_a_sequence_that_cannot_be_parsed_is_empty() -> None:
    assert elements.items(raw(0x00283010, "SQ", b"no item"), "VOILUTSequence") == ()
    assert elements.items(raw(0x00283010, "LO", b"text"), "VOILUTSequence") == ()
    assert elements.items(Dataset(), "VOILUTSequence") == ()


def test_big_endian_words_are_turned() -> None:
    assert elements.payload(raw(0x00283006, "OW", b"\x12\x34\x56\x78", little=False), "LUTData") == b"\x34\x12\x78\x56"
    assert elements.payload(raw(0x00283006, "OB", b"\x12\x34", little=False), "LUTData") == b"\x12\x34"


def test_words_already_converted_become_bytes() -> None:
    dataset = Dataset()
    dataset.add_new("LUTData", "US", [1, 2, 0x1234])
    assert elements.payload(dataset, "LUTData") == b"\x01\x00\x02\x00\x34\x12"


def test_reading_leaves_the_element_as_it_was() -> None:
    """Converting would make pydicom warn of what it does not like, with the value in the warning."""
    dataset = raw(SPACING, "DS", b"a\\b")
    elements.numbers(dataset, "PixelSpacing")
    assert isinstance(dataset.get_item("PixelSpacing"), RawDataElement)


def test_a_keyword_that_is_none_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="not a keyword"):
        elements.text(Dataset(), "WindowCentre")


def test_a_file_is_never_converted_behind_our_back() -> None:
    film = pydicom.dcmread(io.BytesIO(bytes(128) + b"DICM" + b"\x28\x00\x10\x00US\x00\x00"), force=True)
    assert elements.integer(film, "Rows") is None
