"""Parses the header of an encoded frame, before it reaches a decoder.

JPEG: ISO/IEC 10918-1 section B.2.2; JPEG-LS: ISO/IEC 14495-1 section C.2.2; JPEG 2000: ISO/IEC 15444-1 section A.5.1.
"""

import struct
from dataclasses import dataclass

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason

_JPEG_2000 = b"\xff\x4f\xff\x51"
_JP2_BOX = b"\x00\x00\x00\x0cjP  "
_FRAME_HEADERS = {0xC0, 0xC1, 0xC2, 0xC3, 0xF7}
_BARE = {0x01, 0xD8, *range(0xD0, 0xD8)}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """Size and type of the samples in a codestream."""

    rows: int
    columns: int
    components: int
    precision: int
    is_signed: bool = False


def read_codestream(frame: bytes) -> Codestream:
    """Return the header of the encoded `frame`; raise GiveUp with DECODE if it has none."""
    try:
        if frame.startswith(_JP2_BOX):
            frame = frame[frame.index(_JPEG_2000) :]
        return _jpeg_2000(frame) if frame.startswith(_JPEG_2000) else _jpeg(frame)
    except (ValueError, struct.error, IndexError) as error:
        raise GiveUp(Reason.DECODE, "the encoded frame has no frame header that can be read") from error


def _jpeg_2000(frame: bytes) -> Codestream:
    x1, y1, x0, y0 = struct.unpack_from(">4I", frame, 8)
    (components,) = struct.unpack_from(">H", frame, 40)
    depths = {frame[42 + 3 * at] for at in range(components)}
    if len(depths) != 1:
        raise ValueError("components of different depth")
    depth = depths.pop()
    return Codestream(
        rows=y1 - y0, columns=x1 - x0, components=components, precision=(depth & 0x7F) + 1, is_signed=depth > 0x7F
    )


def _jpeg(frame: bytes) -> Codestream:
    if not frame.startswith(b"\xff\xd8"):
        raise ValueError("no start of image")
    at = 2
    while True:
        at = frame.index(b"\xff", at)
        marker = frame[at + 1]
        if marker in _FRAME_HEADERS:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, at + 4)
            return Codestream(rows=rows, columns=columns, components=components, precision=precision)
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            raise ValueError("no frame header before the first scan")
        bare = marker in _BARE or marker in (0x00, 0xFF)
        at += 1 if marker == 0xFF else 2 if bare else 2 + struct.unpack_from(">H", frame, at + 2)[0]
