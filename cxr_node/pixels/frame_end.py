"""End of an encoded frame: its marker, EOI of JPEG and JPEG-LS, EOC of JPEG 2000, and whether all samples precede it.

ISO/IEC 10918-1 B.1.1.3 and 15444-1 A.4.4. Some encoders leave the marker out, and viewers show their films. A frame
that was cut off lacks it as well, unless a program has closed it: then JPEG decoders fill up what is missing.
"""

import struct

import numpy as np

END = b"\xff\xd9"
FILL_BYTE = b"\xff"
"""May precede a marker; with another byte behind it, it would be a marker (ISO/IEC 10918-1 B.1.1.2)."""
FILLER = b"\x55\x2a\x33\x6d"
"""Bytes that change the picture if the decoder has to read beyond the data, and not if it is whole."""
_CORNER = 16
_START_OF_SCAN = 0xDA
_JPEG_2000 = b"\xff\x4f"
_JP2_BOX = b"\x00\x00\x00\x0cjP  "


def find_end(frame: bytes) -> int:
    """Return the offset of the end marker that follows the encoded samples, -1 if there is none.

    Within the samples the byte pair cannot occur.
    """
    if frame.startswith((_JPEG_2000, _JP2_BOX)):
        stripped = frame.rstrip(b"\0")
        return len(stripped) - len(END) if stripped.endswith(END) else frame.find(END, max(len(frame) - 16, 0))
    return frame.find(END, _first_scan(frame))


def may_be_filled_up(decoded: bytes | bytearray, *, columns: int, components: int, cell_bytes: int) -> bool:
    """Whether the last samples may be what a JPEG decoder makes of missing data.

    Without data it leaves coefficients and differences at 0: blocks without texture, samples equal to those on the left
    or above. So are the black or white corners of many films.
    """
    rows = np.frombuffer(decoded, f"<u{cell_bytes}").reshape(-1, columns, components)[-2:, -_CORNER:].astype(np.int32)
    is_flat = bool((np.abs(np.diff(rows[-1], axis=0)) <= 1).all())
    return is_flat or bool((rows[0] == rows[-1]).all())


def _first_scan(frame: bytes) -> int:
    """Return the offset of the first Start of Scan: an application segment may hold a picture with an end."""
    at = 2
    try:
        while frame[at] == 0xFF and frame[at + 1] != _START_OF_SCAN:
            at += 1 if frame[at + 1] == 0xFF else 2 + struct.unpack_from(">H", frame, at + 2)[0]
    except (IndexError, struct.error):
        return 0
    return at
