"""End marker of an encoded frame: EOI of JPEG and JPEG-LS, EOC of JPEG 2000 (ISO/IEC 10918-1 B.1.1.3, 15444-1 A.4.4).

Some encoders leave it out, and viewers show their films. A frame that was cut off lacks it as well.
"""

import struct

END = b"\xff\xd9"
FILLER = b"\x55\x2a\x33\x6d"
"""Bytes that change the picture if the decoder has to read beyond the data, and not if it is whole."""
_START_OF_SCAN = 0xDA
_JPEG_2000 = b"\xff\x4f"
_JP2_BOX = b"\x00\x00\x00\x0cjP  "


def has_end(frame: bytes) -> bool:
    """Whether an end marker follows the encoded samples; within them the byte pair cannot occur."""
    if frame.startswith((_JPEG_2000, _JP2_BOX)):
        return frame.rstrip(b"\0").endswith(END) or frame.find(END, len(frame) - 16) >= 0
    return frame.find(END, _first_scan(frame)) >= 0


def _first_scan(frame: bytes) -> int:
    """Return the offset of the first Start of Scan: an application segment may hold a picture with an end."""
    at = 2
    try:
        while frame[at] == 0xFF and frame[at + 1] != _START_OF_SCAN:
            at += 1 if frame[at + 1] == 0xFF else 2 + struct.unpack_from(">H", frame, at + 2)[0]
    except (IndexError, struct.error):
        return 0
    return at
