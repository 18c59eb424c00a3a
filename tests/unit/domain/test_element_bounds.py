"""Bounds of elements and nested sequences: a film made to hold up its readers ends at them, and is named."""

import struct

import pytest

from cxr_node.domain.encoded_data_set import MAXIMUM_DEPTH, MAXIMUM_ELEMENTS
from cxr_node.domain.errors import GiveUp, RejectObject
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.parsing import parse, parse_header
from cxr_node.receive.identify import identify
from tests.support import films
from tests.support.odd_encodings import (
    EXPLICIT,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    data_set_of,
    explicit,
    file_of,
    inserted,
)

SEQUENCE = 0x00081140  # Referenced Image Sequence
BEHIND_UIDS, BEFORE_UIDS = 0x00210000, 0x00190000
REAL_DEPTH = 8


def empty_private(first_tag: int, number: int) -> bytes:
    """Return `number` empty private elements, as many as fit of each group."""
    groups = [(first_tag >> 16) + 2 * (index // 0xFF00) for index in range(number)]
    return b"".join(
        struct.pack("<HH2sH", group, 0x0010 + index % 0xFF00, b"LO", 0) for index, group in enumerate(groups)
    )


def nested(depth: int, *, is_delimited: bool) -> bytes:
    """Return a sequence with `depth` levels."""
    content = b""
    for _ in range(depth):
        if is_delimited:
            item = ITEM + UNDEFINED + content + ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)
            content = struct.pack("<HH2s2x", 0x0008, 0x1140, b"SQ") + UNDEFINED + item
        else:
            item = ITEM + struct.pack("<L", len(content)) + content
            content = explicit(SEQUENCE, b"SQ", item)
    return content


def items(number: int) -> bytes:
    """Return a sequence of a defined length, of `number` items with an empty element each."""
    return explicit(
        SEQUENCE, b"SQ", (ITEM + struct.pack("<L", 8) + struct.pack("<HH2sH", 8, 0x1155, b"UI", 0)) * number
    )


TOO_MUCH = {
    "elements": lambda film: inserted(film, BEHIND_UIDS, empty_private(BEHIND_UIDS, MAXIMUM_ELEMENTS)),
    "elements of a sequence": lambda film: inserted(film, SEQUENCE, items(MAXIMUM_ELEMENTS)),
    "sequences with delimiters": lambda film: inserted(film, SEQUENCE, nested(3 * MAXIMUM_DEPTH, is_delimited=True)),
    "sequences with lengths": lambda film: inserted(film, SEQUENCE, nested(3 * MAXIMUM_DEPTH, is_delimited=False)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOO_MUCH)
def test_a_film_of_too_many_elements_is_not_parsed(kind: str) -> None:
    film = TOO_MUCH[kind](data_set_of(films.dx()))

    with pytest.raises(GiveUp) as gave_up:
        parse(file_of(film, EXPLICIT))

    assert gave_up.value.reason is Reason.DECODE
    assert "more than" in gave_up.value.detail


@pytest.mark.parametrize("is_delimited", [True, False])
def test_sequences_as_deep_as_in_the_field_are_parsed(*, is_delimited: bool) -> None:
    film = inserted(data_set_of(films.dx()), SEQUENCE, nested(REAL_DEPTH, is_delimited=is_delimited))

    assert SEQUENCE in parse(file_of(film, EXPLICIT))


@pytest.mark.slow
def test_the_header_of_a_film_of_too_many_elements_names_it() -> None:
    film = films.dx()
    content = inserted(data_set_of(film), BEHIND_UIDS, empty_private(BEHIND_UIDS, MAXIMUM_ELEMENTS))

    header = parse_header(file_of(content, EXPLICIT))

    assert header.SOPInstanceUID == film.SOPInstanceUID
    assert len(header) <= MAXIMUM_ELEMENTS


@pytest.mark.parametrize(
    "within",
    # Each item has an element; together they are shorter than the values that a header leaves out for their length.
    [items(MAXIMUM_ELEMENTS // 2 + 1), nested(3 * MAXIMUM_DEPTH, is_delimited=False)],
    ids=["elements", "sequences"],
)
def test_the_header_leaves_out_a_sequence_beyond_the_bounds(within: bytes) -> None:
    """Reception skips it by its length, and has found the patient behind it."""
    film = films.dx()

    header = parse_header(file_of(inserted(data_set_of(film), SEQUENCE, within), EXPLICIT))

    assert SEQUENCE not in header
    assert header.PatientID == film.PatientID
    assert header.StudyInstanceUID == film.StudyInstanceUID


@pytest.mark.slow
@pytest.mark.parametrize(
    "before",
    [empty_private(BEFORE_UIDS, MAXIMUM_ELEMENTS), nested(3 * MAXIMUM_DEPTH, is_delimited=True)],
    ids=["elements", "sequences"],
)
def test_a_film_of_too_many_elements_before_its_uids_is_rejected(before: bytes) -> None:
    film = data_set_of(films.dx())
    content = inserted(film, SEQUENCE, before)

    with pytest.raises(RejectObject, match="more than"):
        identify(memoryview(content), transfer_syntax_uid=Uid(EXPLICIT))
