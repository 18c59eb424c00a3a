"""Encoder of data sets in Explicit VR Little Endian and UTF-8 (PS3.5 section 7.1.2), several times as fast as pydicom.

It writes the frequent elements of results by the rules of pydicom's writer, and passes any other to that writer. Tests
compare its output with pydicom's.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import cast

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_dataset

_ITEM = b"\xfe\xff\x00\xe0"
_CODECS = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "TM", "UI"), "ascii"),
    **dict.fromkeys(("LO", "LT", "SH", "ST", "UT"), "utf8"),
}
_FORMATS = {"FL": "f", "FD": "d", "UL": "I", "US": "H"}
_LONG = frozenset({"OB", "SQ", "UT"})
"""VRs with a four-byte length after two reserved bytes, as far as this module writes them."""
_MAXIMUM_SHORT = 0xFFFF


def encoded(dataset: Dataset) -> bytes:
    """Return a data set without File Meta Information."""
    return b"".join(_elements(dataset))


def _elements(dataset: Dataset) -> Iterator[bytes]:
    elements = [dataset.get_item(tag) for tag in sorted(dataset.keys())]
    if any(element.is_raw or len(element.VR or "") != 2 for element in elements):
        # A raw element is still in another character set, and "US or SS" depends on other elements.
        yield _by_pydicom(dataset)
        return
    for element in elements:
        yield from _encoded_element(element)


def _encoded_element(element: DataElement) -> Iterator[bytes]:
    """Yield tag, VR and length of an element, its value, and padding to an even length."""
    value = None if element.is_undefined_length else _value(element.VR, element.value)
    if value is None or (len(value) > _MAXIMUM_SHORT and element.VR not in _LONG):
        yield _one_by_pydicom(element)
        return
    odd = len(value) % 2
    group, number, vr = element.tag >> 16, element.tag & 0xFFFF, element.VR.encode()
    if element.VR in _LONG:
        yield struct.pack("<HH2sHI", group, number, vr, 0, len(value) + odd)
    else:
        yield struct.pack("<HH2sH", group, number, vr, len(value) + odd)
    yield value
    yield (b"\0" if element.VR in ("UI", "OB") else b" ") * odd


def _value(vr: str, value: object) -> bytes | None:
    """Return a value's bytes without padding, or None if pydicom must write it."""
    if vr == "OB":
        return value if isinstance(value, bytes) else None
    if value is None or value == "":
        return b""
    if vr == "SQ":
        return _items(cast("Sequence[Dataset]", value))
    values = cast("Sequence[object]", value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if vr in _CODECS:
        if all(isinstance(one, str) for one in values):
            return "\\".join(cast("Sequence[str]", values)).encode(_CODECS[vr])
        return None
    if vr in _FORMATS:
        return struct.pack(f"<{len(values)}{_FORMATS[vr]}", *values)
    if vr in ("DS", "IS"):
        return "\\".join(str(getattr(one, "original_string", one)) for one in values).encode("ascii")
    return None


def _items(items: Sequence[Dataset]) -> bytes | None:
    if any(item.is_undefined_length_sequence_item for item in items):
        return None
    parts = []
    for item in items:
        body = encoded(item)
        parts += [_ITEM, struct.pack("<I", len(body)), body]
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
