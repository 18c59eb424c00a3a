"""Encoded frames taken apart: fragments, and what a codestream says of itself."""

import struct

import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.codestream import Codestream, read_codestream
from cxr_node.pixels.encapsulation import first_frame
from cxr_node.pixels.parsing import parse
from tests.support.pixel_films import LOSSLESS, LOSSY, chest, data_set, encoded

ITEM, END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"


def item(content: bytes, *, length: int | None = None) -> bytes:
    """Return an item, with a length of its own if given."""
    return ITEM + struct.pack("<I", len(content) if length is None else length) + content


def test_all_fragments_belong_to_a_single_frame_despite_the_offset_table() -> None:
    content = item(struct.pack("<I", 4000)) + item(b"one ") + item(b"two ") + END
    assert first_frame(content, number_of_frames=1) == b"one two "


def test_a_missing_delimiter_is_forgiven() -> None:
    assert first_frame(item(b"") + item(b"one "), number_of_frames=1) == b"one "


def test_the_offset_table_ends_the_first_of_two_frames() -> None:
    content = encapsulate([b"first frame ", b"second"], fragments_per_frame=2)
    assert first_frame(content, number_of_frames=2) == b"first frame "


def test_of_two_frames_without_an_offset_table_a_fragment_is_a_frame() -> None:
    content = encapsulate([b"first ", b"second"], has_bot=False)
    assert first_frame(content, number_of_frames=2) == b"first "


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xfe\xff",
        b"\xff\xd8\xff\xc3 a bare JPEG",
        item(b""),
        item(b"") + END,
        item(b"") + item(b"four", length=5),
        item(b"") + item(b"", length=0xFFFFFFFF) + END,
        item(b"") + b"\xe0\x7f\x10\x00OW\0\0",
    ],
    ids=["empty", "cut", "not encapsulated", "no fragment", "only a table", "short", "endless", "something else"],
)
def test_fragments_that_lie_are_given_up(content: bytes) -> None:
    with pytest.raises(GiveUp) as gave_up:
        first_frame(content, number_of_frames=1)
    assert gave_up.value.reason is Reason.DECODE


def frame_of(syntax: uid.UID) -> bytes:
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    film = data_set(chest(bits=bits), bits_stored=bits, changes={"BitsAllocated": 8} if bits == 8 else {})
    pixel_data: bytes = parse(encoded(film, syntax)).get_item("PixelData").value
    return first_frame(pixel_data, number_of_frames=1)


@pytest.mark.parametrize(
    ("syntax", "precision"),
    [
        (uid.JPEGBaseline8Bit, 8),
        (uid.JPEGExtended12Bit, 12),
        (uid.JPEGLossless, 16),
        (uid.JPEGLosslessSV1, 16),
        (uid.JPEGLSLossless, 16),
        (uid.JPEGLSNearLossless, 12),
        (uid.JPEG2000Lossless, 16),
        (uid.HTJ2KLossless, 16),
    ],
)
def test_a_codestream_header_is_decoded(syntax: uid.UID, precision: int) -> None:
    """Lossless encoders code the whole cell, 16 bits; the film has 12 bits stored."""
    assert syntax in (*LOSSLESS, *LOSSY)
    assert read_codestream(frame_of(syntax)) == Codestream(rows=64, columns=48, components=1, precision=precision)


@pytest.mark.parametrize("syntax", [uid.JPEGLosslessSV1, uid.JPEG2000Lossless])
def test_a_codestream_that_ends_in_its_header_is_given_up(syntax: uid.UID) -> None:
    frame = frame_of(syntax)
    for length in (0, 1, 2, 3, 5, 12):
        with pytest.raises(GiveUp):
            read_codestream(frame[:length])


def test_a_jp2_file_is_read_by_the_codestream_inside() -> None:
    frame = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"boxes" + frame_of(uid.JPEG2000Lossless)
    assert read_codestream(frame).rows == 64
