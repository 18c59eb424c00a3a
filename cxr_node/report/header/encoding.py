"""Encoder of data sets in Explicit VR Little Endian and UTF-8 (PS3.5 section 7.1.2), several times as fast as pydicom.

It writes the frequent elements of results by the rules of pydicom's writer, and passes any other to that writer. Tests
compare its output with pydicom's.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

_ITEM = b"\xfe\xff\x00\xe0"
_CODECS = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "TM", "UI"), "ascii"),
    **dict.fromkeys(("LO", "LT", "SH", "ST", "UT"), "utf8"),
}
_FORMATS = {"FL": "f", "FD": "d", "UL": "I", "US": "H"}
_LONG = frozenset({"OB", "SQ", "UT"})
"""VRs with a four-byte length after two reserved bytes, as far as this module writes them."""
_MAXIMUM_SHORT = 0xFFFF
_SEVERAL = (MultiValue, list, tuple)
_TWO_BYTES, _FOUR_BYTES = struct.Struct("<H").pack, struct.Struct("<I").pack


def encoded(dataset: Dataset) -> bytes:
    """Return a data set without File Meta Information."""
    # `items` gives the elements as they are, and plain integers are sorted faster than tags.
    elements = [element for _, element in sorted(dataset.items(), key=_by_tag)]
    if any(element.is_raw or len(element.VR or "") != 2 for element in elements):
        # A raw element is still in another character set, and "US or SS" depends on other elements.
        return _by_pydicom(dataset)
    parts: list[bytes] = []
    for element in cast("list[DataElement]", elements):
        _encode_element(element, parts)
    return b"".join(parts)


def _by_tag(item: tuple[BaseTag, object]) -> int:
    return int(item[0])


def _encode_element(element: DataElement, parts: list[bytes]) -> None:
    """Append tag, VR and length of an element, its value, and padding to an even length."""
    vr = element.VR
    value = None if element.is_undefined_length else _value(vr, element.value)
    is_long = vr in _LONG
    if value is None or (len(value) > _MAXIMUM_SHORT and not is_long):
        parts.append(_one_by_pydicom(element))
        return
    size = len(value)
    odd = size % 2
    parts += (_tag_and_vr(int(element.tag), vr), (_FOUR_BYTES if is_long else _TWO_BYTES)(size + odd), value)
    if odd:
        parts.append(b"\0" if vr in ("UI", "OB") else b" ")


@lru_cache(maxsize=4096)
def _tag_and_vr(tag: int, vr: str) -> bytes:
    """Return tag and VR of an element, and the reserved bytes of a long one."""
    return struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode()) + (b"\0\0" if vr in _LONG else b"")


def _value(vr: str, value: object) -> bytes | None:
    """Return a value's bytes without padding, or None if pydicom must write it."""
    if vr == "OB":
        return value if isinstance(value, bytes) else None
    if value is None or value == "":
        return b""
    if vr == "SQ":
        return _items(cast("Sequence[Dataset]", value))
    if vr in _CODECS:
        return _text(_CODECS[vr], value)
    values = _listed(value)
    if vr in _FORMATS:
        return struct.pack(f"<{len(values)}{_FORMATS[vr]}", *values)
    if vr in ("DS", "IS"):
        return "\\".join(str(getattr(one, "original_string", one)) for one in values).encode("ascii")
    return None


def _text(codec: str, value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode(codec)
    values = _listed(value)
    if all(isinstance(one, str) for one in values):
        return "\\".join(cast("Sequence[str]", values)).encode(codec)
    return None


def _listed(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, _SEVERAL) else [value]


def _items(items: Sequence[Dataset]) -> bytes | None:
    parts: list[bytes] = []
    for item in items:
        if item.is_undefined_length_sequence_item:
            return None
        body = encoded(item)
        parts += (_ITEM, _FOUR_BYTES(len(body)), body)
    return b"".join(parts)


def _by_pydicom(dataset: Dataset) -> bytes:
    target = _target()
    write_dataset(target, dataset, parent_encoding="utf8")
    return target.getvalue()


def _one_by_pydicom(element: DataElement) -> bytes:
    target = _target()
    write_data_element(target, element, "utf8")
    return target.getvalue()


def _target() -> DicomBytesIO:
    target = DicomBytesIO()
    target.is_little_endian = True
    target.is_implicit_VR = False
    return target
