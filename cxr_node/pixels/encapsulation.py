"""Parses encapsulated Pixel Data into items and fragments (PS3.5 section A.4)."""

import struct

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason

_ITEM = b"\xfe\xff\x00\xe0"
_DELIMITER = b"\xfe\xff\xdd\xe0"
_HEADER_BYTES = 8


def first_frame(encapsulated: bytes, *, number_of_frames: int) -> bytes:
    """Return the encoded bytes of the first frame.

    With one frame all fragments belong to it, whatever the Basic Offset Table says. With more, the table decides;
    without a table each fragment is a frame.

    Raises
    ------
    GiveUp
        DECODE if an item's length is wrong or there is no content.
    """
    table, fragments = _fragments(encapsulated)
    if number_of_frames > 1:
        fragments = _of_first_frame(table, fragments)
    frame = b"".join(fragments) if len(fragments) != 1 else fragments[0]
    if not frame:
        raise GiveUp(Reason.DECODE, "encapsulated Pixel Data holds no fragment")
    return frame


def begins_with_item(pixel_data: bytes) -> bool:
    """Whether Pixel Data begins with the header of an item."""
    return pixel_data.startswith(_ITEM)


def _fragments(encapsulated: bytes) -> tuple[bytes, list[bytes]]:
    items: list[bytes] = []
    at = 0
    while at + _HEADER_BYTES <= len(encapsulated):
        tag, length = encapsulated[at : at + 4], struct.unpack_from("<I", encapsulated, at + 4)[0]
        at += _HEADER_BYTES
        if tag == _DELIMITER:
            break
        if tag != _ITEM:
            raise GiveUp(Reason.DECODE, "encapsulated Pixel Data holds something that is not an item")
        if length > len(encapsulated) - at:
            raise GiveUp(Reason.DECODE, f"a fragment of {length} bytes reaches beyond the end of Pixel Data")
        items.append(encapsulated[at : at + length])
        at += length
    if not items:
        raise GiveUp(Reason.DECODE, "encapsulated Pixel Data holds no item")
    return items[0], items[1:]


def _of_first_frame(table: bytes, fragments: list[bytes]) -> list[bytes]:
    if len(table) < 2 * 4:
        return fragments[:1]
    end = struct.unpack_from("<I", table, 4)[0]
    at, count = 0, 0
    while count < len(fragments) and at < end:
        at += _HEADER_BYTES + len(fragments[count])
        count += 1
    return fragments[: max(count, 1)]
