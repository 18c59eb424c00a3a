"""Encoded data sets as odd senders write them, made from a film of the tests."""

import io
import struct
import zlib

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

EXPLICIT, IMPLICIT, BIG = uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian
DEFLATED = uid.DeflatedExplicitVRLittleEndian
LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")
ITEM, ITEM_END, SEQUENCE_END = (b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0")
UNDEFINED = b"\xff\xff\xff\xff"
PRIVATE = 0x00091001
"""A private element in front of the UIDs of study and series."""


def data_set_of(film: Dataset, syntax: str = EXPLICIT) -> bytes:
    """Return the bytes of a film's data set, without File Meta Information."""
    target = DicomBytesIO()
    target.is_implicit_VR, target.is_little_endian = syntax == IMPLICIT, syntax != BIG
    write_dataset(target, film)
    return target.getvalue()


def file_of(data_set: bytes, syntax: str) -> bytes:
    """Return the file that reception makes of a data set."""
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value
    head = struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(meta))
    return bytes(128) + b"DICM" + head + meta + data_set


def explicit(tag: int, vr: bytes, value: bytes, *, length: int | None = None, is_long: bool | None = None) -> bytes:
    """Return an Explicit VR element; `length` is a wrong one."""
    value += b"\0" * (len(value) % 2)
    length = len(value) if length is None else length
    if vr in LONG if is_long is None else is_long:
        return struct.pack("<HH2s2xL", tag >> 16, tag & 0xFFFF, vr, length) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, length) + value


def implicit(tag: int, value: bytes) -> bytes:
    """Return an Implicit VR element."""
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def offset_of(data_set: bytes, tag: int) -> int:
    """Return the offset of the first element of a tag that is not less than `tag` in an Explicit VR data set."""
    at = 0
    while at < len(data_set):
        group, element, vr = struct.unpack_from("<HH2s", data_set, at)
        if group << 16 | element >= tag:
            break
        at += _size(data_set, at, vr)
    return at


def _size(data_set: bytes, at: int, vr: bytes) -> int:
    if vr not in LONG:
        return 8 + int(struct.unpack_from("<H", data_set, at + 6)[0])
    length = int(struct.unpack_from("<L", data_set, at + 8)[0])
    return data_set.index(SEQUENCE_END, at) + 8 - at if length == 0xFFFFFFFF else 12 + length


def inserted(data_set: bytes, tag: int, elements: bytes) -> bytes:
    """Return the data set with `elements` in front of the first element from `tag` on."""
    at = offset_of(data_set, tag)
    return data_set[:at] + elements + data_set[at:]


def moved(data_set: bytes, tag: int, before: int | None) -> bytes:
    """Return the data set with the element of `tag` in front of that of `before`, or at the end."""
    at = offset_of(data_set, tag)
    element = data_set[at : at + _size(data_set, at, data_set[at + 4 : at + 6])]
    rest = data_set[:at] + data_set[at + len(element) :]
    return rest + element if before is None else inserted(rest, before, element)


def with_pixels(data_set: bytes, element: bytes) -> bytes:
    """Return the data set with another Pixel Data element."""
    return data_set[: offset_of(data_set, 0x7FE00010)] + element


def in_items(*contents: bytes) -> bytes:
    """Return items with the contents, after an empty offset table."""
    return b"".join(ITEM + struct.pack("<L", len(content)) + content for content in (b"", *contents))


def deflated(data_set: bytes, *, has_zlib_header: bool = False) -> bytes:
    """Return a deflated data set."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS if has_zlib_header else -zlib.MAX_WBITS)
    return compressor.compress(data_set) + compressor.flush()


def data_set_in(content: bytes) -> bytes:
    """Return the data set of a file with a group length in its File Meta Information."""
    stream = io.BytesIO(content)
    stream.seek(140)
    return content[144 + struct.unpack("<L", stream.read(4))[0] :]
