"""Values of selected top level elements of an encoded data set, without a full parser.

Other elements are skipped by their length, and reading ends at the last wanted tag. A full parser decodes character
sets and private sequences, and stops at the first element that it cannot decode.
PS3.5 section 7.1 (elements), 7.5 (sequences and items), annex A (encodings).
"""

import struct
import zlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from cxr_node.domain.identifiers import Uid

_IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
_INFLATED_BYTES = 8 << 20
"""Limit of inflation: headers are kilobytes, a decompression bomb is gigabytes."""

_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
"""PS3.5 table 7.1-2; every other VR, known or not, has a length of four bytes."""

_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Header:
    tag: int
    length: int
    value_offset: int
    explicit_inside: bool
    """Whether items inside this element are encoded in explicit VR."""


def values_of(data_set: memoryview, wanted: AbstractSet[int], *, transfer_syntax_uid: Uid) -> dict[int, bytes]:
    """Return the encoded values of the `wanted` top level elements that are present.

    Parameters
    ----------
    data_set
        An encoded data set, without File Meta Information.
    wanted
        Tags as group times 65536 plus element, none of them a sequence.

    Raises
    ------
    ValueError
        If the bytes up to the last wanted tag are not a data set in this transfer syntax.
    """
    if transfer_syntax_uid in DEFLATED:
        data_set = _inflated(data_set)
    explicit = transfer_syntax_uid != _IMPLICIT_VR_LITTLE_ENDIAN
    order = ">" if transfer_syntax_uid == _EXPLICIT_VR_BIG_ENDIAN else "<"
    last = max(wanted)
    values: dict[int, bytes] = {}
    offset = 0
    while offset < len(data_set):
        header = _header(data_set, offset, explicit=explicit, order=order)
        if header.tag > last:
            break
        if header.length == _UNDEFINED:
            offset = _end_of_items(data_set, header, order=order)
            continue
        offset = header.value_offset + header.length
        if offset > len(data_set):
            raise ValueError(f"element {_name(header.tag)} is longer than the data set")
        if header.tag in wanted:
            values[header.tag] = bytes(data_set[header.value_offset : offset])
    return values


def _header(data_set: memoryview, offset: int, *, explicit: bool, order: str) -> _Header:
    try:
        group, element = struct.unpack_from(f"{order}HH", data_set, offset)
        tag = group << 16 | element
        vr = bytes(data_set[offset + 4 : offset + 6])
        # Delimiters have no VR; some senders write implicit VR elements into explicit VR data sets.
        if not explicit or tag in (_ITEM, _ITEM_END, _SEQUENCE_END) or not (vr.isalpha() and vr.isupper()):
            return _Header(tag, struct.unpack_from(f"{order}L", data_set, offset + 4)[0], offset + 8, explicit)
        if vr in _SHORT_VRS:
            return _Header(tag, struct.unpack_from(f"{order}H", data_set, offset + 6)[0], offset + 8, explicit)
        # PS3.5 section 6.2.2 note 4: a sequence kept as UN with undefined length is in implicit VR inside.
        length = struct.unpack_from(f"{order}L", data_set, offset + 8)[0]
        return _Header(tag, length, offset + 12, vr != b"UN")
    except struct.error as error:
        raise ValueError("the data set ends within an element") from error


def _end_of_items(data_set: memoryview, sequence: _Header, *, order: str) -> int:
    """Return the offset after the delimiter that ends the sequence or fragments of undefined length."""
    offset = sequence.value_offset
    open_explicit = [sequence.explicit_inside]
    while open_explicit:
        header = _header(data_set, offset, explicit=open_explicit[-1], order=order)
        offset = header.value_offset
        if header.tag in (_ITEM_END, _SEQUENCE_END):
            open_explicit.pop()
        elif header.length == _UNDEFINED:
            open_explicit.append(header.explicit_inside)
        else:
            offset += header.length
        if offset > len(data_set):
            raise ValueError(f"sequence {_name(sequence.tag)} is longer than the data set")
    return offset


def _inflated(data_set: memoryview) -> memoryview:
    try:
        return memoryview(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data_set, _INFLATED_BYTES))
    except zlib.error as error:
        raise ValueError("the deflated data set cannot be inflated") from error


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
