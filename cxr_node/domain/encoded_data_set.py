"""Elements of an encoded data set, in the order of their bytes, with the leniency of other receivers.

One walk for reception and for reading, so that both find the same elements. It skips values by their length and
converts none. PS3.5 section 7.1 (elements), 7.5 (sequences and items), A.4 (fragments).
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
"""Encapsulated Uncompressed Explicit VR Little Endian (PS3.5 section A.4.11): native cells in items."""
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

UNDEFINED = 0xFFFFFFFF
"""Length of an element that a delimiter ends."""
PIXEL_DATA = 0x7FE00010

_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
"""PS3.5 table 7.1-2; every other VR has a length of four bytes."""
_VRS = _SHORT_VRS | frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())

_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_DELIMITERS = frozenset({_ITEM_END, _SEQUENCE_END})
_FILE_META_GROUP = 0x0002

MAXIMUM_ELEMENTS = 100_000
"""Most elements of a data set, and most elements within its sequences; films of the field have some hundreds.

A walk takes about 8 microseconds an element, a parsed element 340 bytes of memory.
"""
MAXIMUM_DEPTH = 32
"""Most sequences within each other: items of a defined length are copied once for each."""
_MAY_NEST = frozenset({"", "SQ", "UN"})


class DamagedDataSet(ValueError):
    """The bytes end, or are no data set, from some element on. The message names the element, never a value."""


class Element(NamedTuple):
    """An element and the place of its value: `data_set[start:end]`, without the delimiter that ends it."""

    tag: int
    vr: str
    """"" in Implicit VR; UN for a VR that is none of the standard's."""
    length: int
    """As encoded: `UNDEFINED` if a delimiter ends the value."""
    start: int
    end: int
    is_implicit_inside: bool
    """Whether items inside the element are encoded in Implicit VR."""


class _Header(NamedTuple):
    tag: int
    vr: str
    length: int
    start: int


class ElementCount:
    """Number of elements so far, at most `MAXIMUM_ELEMENTS`."""

    def __init__(self) -> None:
        self._number = 0

    def add(self) -> None:
        """Count one more; raise DamagedDataSet beyond the maximum."""
        self._number += 1
        if self._number > MAXIMUM_ELEMENTS:
            raise DamagedDataSet(f"it has more than {MAXIMUM_ELEMENTS:,} elements")


def walk(data_set: memoryview, *, transfer_syntax_uid: str) -> Iterator[Element]:
    """Yield the top level elements of an encoded data set without File Meta Information, not deflated.

    Group 0002 is skipped: the transfer syntax is that of the presentation context (PS3.7), not one left in the data
    set. Elements may be in any order. Implicit VR elements among explicit ones, VRs that the standard does not have, a
    stray delimiter and missing delimiters are accepted. Bytes behind Pixel Data that are no elements are ignored.

    Raises
    ------
    DamagedDataSet
        If an element before or in Pixel Data (7FE0,0010) reaches beyond the end, bytes are no element, or there are
        more elements or levels than `MAXIMUM_ELEMENTS` and `MAXIMUM_DEPTH`.
    """
    order = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
    offset = _after_file_meta(data_set)
    explicit = transfer_syntax_uid != IMPLICIT_VR_LITTLE_ENDIAN or _is_explicit(data_set, offset)
    size = len(data_set)
    has_pixels = False
    count = ElementCount()
    while offset < size:
        try:
            count.add()
            header = _read_header(data_set, offset, explicit=explicit, order=order)
            if header.tag in _DELIMITERS:
                offset = header.start
                continue
            element, offset = _element(data_set, header, explicit=explicit, order=order, count=count)
        except DamagedDataSet:
            if has_pixels:
                return
            raise
        has_pixels = has_pixels or element.tag == PIXEL_DATA
        if element.tag >> 16 != _FILE_META_GROUP:
            yield element


def walk_file_meta(content: memoryview) -> Iterator[Element]:
    """Yield the elements of group 0002 at the beginning, up to the first that is not whole."""
    offset = 0
    while (group := bytes(content[offset : offset + 2])) in (b"\x02\0", b"\0\x02"):
        tag, vr, length, start = _read_header(content, offset, explicit=True, order="<" if group[0] else ">")
        offset = start + length
        if offset > len(content):
            return
        yield Element(tag, vr, length, start, offset, is_implicit_inside=False)


def count_within(data_set: memoryview, element: Element, *, is_little_endian: bool, count: ElementCount) -> None:
    """Count the elements within the items of a sequence, at every depth and of whatever length.

    An element that is no sequence has none. What cannot be read ends the item that it is in.

    Raises
    ------
    DamagedDataSet
        If there are more elements or levels than `MAXIMUM_ELEMENTS` and `MAXIMUM_DEPTH`.
    """
    order = "<" if is_little_endian else ">"
    if element.vr not in _MAY_NEST or _tag_at(data_set, element.start, order) != _ITEM:
        return
    at = element.start
    levels = [_Level(element.end, not element.is_implicit_inside, is_delimited=False)]
    while levels:
        end, is_explicit, _ = levels[-1]
        try:
            header = _read_header(data_set, at, explicit=is_explicit, order=order) if at + 8 <= end else None
        except DamagedDataSet:
            header = None
        if header is None or header.start > end:
            at = end
            levels.pop()
            continue
        count.add()
        at, level = _step_within(data_set, header, levels[-1], order)
        if level is not None:
            levels.append(level)
            _check_depth(len(levels))
        elif header.tag in _DELIMITERS and levels[-1].is_delimited:
            levels.pop()


def name_of(tag: int) -> str:
    """Return a tag as (gggg,eeee)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _after_file_meta(data_set: memoryview) -> int:
    """Return the offset after elements of group 0002 at the beginning, which may be encoded unlike the rest."""
    offset = 0
    for element in walk_file_meta(data_set):
        offset = element.end
    return offset


def _is_explicit(data_set: memoryview, offset: int) -> bool:
    """Whether a data set whose transfer syntax is Implicit VR begins with an Explicit VR element."""
    if bytes(data_set[offset + 4 : offset + 6]) not in _VRS:
        return False
    try:
        implicit = _read_header(data_set, offset, explicit=False, order="<")
        explicit = _read_header(data_set, offset, explicit=True, order="<")
    except DamagedDataSet:
        return False
    return _precedes_element(data_set, explicit, "<") and not _precedes_element(data_set, implicit, "<")


def _read_header(data_set: memoryview, offset: int, *, explicit: bool, order: str) -> _Header:
    try:
        group, number = struct.unpack_from(f"{order}HH", data_set, offset)
        tag = group << 16 | number
        if not explicit or group == 0xFFFE:  # items and delimiters have no VR
            return _implicit(data_set, offset, tag, order)
        vr = bytes(data_set[offset + 4 : offset + 6])
        if vr in _SHORT_VRS:
            header = _explicit(data_set, offset, tag, vr, order, is_short=True)
            # The length of an Implicit VR element may read as a VR: 0x4F4C is "LO".
            return _resolve(data_set, header, offset, order) if group & 1 and not header.length else header
        if vr in _VRS:
            return _explicit(data_set, offset, tag, vr, order, is_short=False)
        return _unknown_vr(data_set, offset, tag, vr, order)
    except struct.error as error:
        raise DamagedDataSet("the data set ends within the header of an element") from error


def _implicit(data_set: memoryview, offset: int, tag: int, order: str) -> _Header:
    return _Header(tag, "", struct.unpack_from(f"{order}L", data_set, offset + 4)[0], offset + 8)


def _explicit(data_set: memoryview, offset: int, tag: int, vr: bytes, order: str, *, is_short: bool) -> _Header:
    name = vr.decode() if vr in _VRS else "UN"
    if is_short:
        return _Header(tag, name, struct.unpack_from(f"{order}H", data_set, offset + 6)[0], offset + 8)
    return _Header(tag, name, struct.unpack_from(f"{order}L", data_set, offset + 8)[0], offset + 12)


def _resolve(data_set: memoryview, header: _Header, offset: int, order: str) -> _Header:
    if _precedes_element(data_set, header, order):
        return header
    implicit = _implicit(data_set, offset, header.tag, order)
    return implicit if _precedes_element(data_set, implicit, order) else header


def _unknown_vr(data_set: memoryview, offset: int, tag: int, vr: bytes, order: str) -> _Header:
    """Return the header of an element whose VR is none: of its possible forms the one that an element follows.

    Forms: Explicit VR with a length of two bytes ("??", blanks, NULs), of four bytes (every VR of the future, PS3.5
    section 7.1.2), or an Implicit VR element among explicit ones.
    """
    has_letters = vr.isalpha() and vr.isupper()
    forms = [
        _explicit(data_set, offset, tag, vr, order, is_short=is_short)
        for is_short in ((False, True) if has_letters else (True, False))
        if is_short or offset + 12 <= len(data_set)
    ]
    forms.append(_implicit(data_set, offset, tag, order))
    default = forms[0] if has_letters else forms[-1]
    return next((form for form in forms if _precedes_element(data_set, form, order)), default)


def _precedes_element(data_set: memoryview, header: _Header, order: str) -> bool:
    """Whether the value ends at the end of the data set, or before bytes that look like the next element."""
    if header.length == UNDEFINED:
        return _tag_at(data_set, header.start, order) in (_ITEM, _SEQUENCE_END)
    end = header.start + header.length
    if end >= len(data_set):
        return end == len(data_set)
    tag = _tag_at(data_set, end, order)
    if tag in _DELIMITERS:
        return True
    is_same_group = tag >> 16 == header.tag >> 16
    return tag > header.tag and (is_same_group or bytes(data_set[end + 4 : end + 6]) in _VRS)


def _tag_at(data_set: memoryview, offset: int, order: str) -> int:
    if offset + 4 > len(data_set):
        return 0
    group, number = struct.unpack_from(f"{order}HH", data_set, offset)
    return int(group) << 16 | int(number)


def _element(
    data_set: memoryview, header: _Header, *, explicit: bool, order: str, count: ElementCount
) -> tuple[Element, int]:
    """Return the element, and the offset of the next."""
    tag, vr, length, start = header
    if tag < 0x00020000:
        raise DamagedDataSet(f"{name_of(tag)} is not an element of a data set")
    # PS3.5 section 6.2.2 note 4: a sequence kept as UN with undefined length is in Implicit VR inside.
    is_implicit_inside = not explicit or vr in ("", "UN")
    if length != UNDEFINED:
        end = following = start + length
    elif tag == PIXEL_DATA:
        end, following = _end_of_fragments(data_set, start, order)
    else:
        end, following = _end_of_items(data_set, header, not is_implicit_inside, order, count)
    if following > len(data_set):
        raise DamagedDataSet(f"element {name_of(tag)} is longer than the data set")
    return Element(tag, vr, length, start, end, is_implicit_inside), following


def _end_of_fragments(data_set: memoryview, start: int, order: str) -> tuple[int, int]:
    """Return the end of encapsulated Pixel Data, and the offset after its delimiter if it has one.

    Pixels of undefined length that are in no item reach to the end of the data set.
    """
    size = len(data_set)
    if _tag_at(data_set, start, order) not in (_ITEM, _SEQUENCE_END):
        return size, size
    at = start
    while at + 8 <= size:
        tag = _tag_at(data_set, at, order)
        if tag in _DELIMITERS:
            return at, at + 8
        if tag != _ITEM:
            return at, at
        length = struct.unpack_from(f"{order}L", data_set, at + 4)[0]
        if at + 8 + length > size:
            raise DamagedDataSet("the data set ends within a fragment of Pixel Data (7FE0,0010)")
        at += 8 + length
    return at, size


def _end_of_items(
    data_set: memoryview,
    sequence: _Header,
    explicit: bool,
    order: str,
    count: ElementCount,
) -> tuple[int, int]:
    """Return the end of a sequence of undefined length, and the offset after its delimiter if it has one.

    A sequence's delimiter also ends an open item; an element where an item should be ends the sequence.
    """
    at = sequence.start
    open_ends = [_OpenEnd(_SEQUENCE_END, explicit)]
    while True:
        count.add()
        _check_depth(len(open_ends))
        header = _read_header(data_set, at, explicit=open_ends[-1].is_explicit, order=order)
        is_misplaced = open_ends[-1].delimiter == _SEQUENCE_END and header.tag != _ITEM
        if header.tag in _DELIMITERS:
            at = header.start
            _close(open_ends, header.tag)
        elif is_misplaced:
            open_ends.pop()
        elif header.length == UNDEFINED:
            at = header.start
            open_ends.append(_opened(header, open_ends[-1]))
        else:
            at = header.start + header.length
        if not open_ends:
            return (at, at) if is_misplaced and header.tag != _SEQUENCE_END else (at - 8, at)
        if at > len(data_set):
            raise DamagedDataSet(f"sequence {name_of(sequence.tag)} is longer than the data set")


class _Level(NamedTuple):
    """An open sequence or item: where it ends at the latest, and whether a delimiter ends it before."""

    end: int
    is_explicit: bool
    is_delimited: bool


def _step_within(data_set: memoryview, header: _Header, level: _Level, order: str) -> tuple[int, _Level | None]:
    """Return where to read on after a header, and the level that it opens."""
    is_item = header.tag == _ITEM
    is_delimited = header.length == UNDEFINED
    is_sequence = header.vr in _MAY_NEST and _tag_at(data_set, header.start, order) == _ITEM
    if header.length and (is_item or is_sequence):
        end = level.end if is_delimited else min(level.end, header.start + header.length)
        is_explicit = level.is_explicit and (is_item or header.vr == "SQ")
        return header.start, _Level(end, is_explicit, is_delimited)
    return header.start + (0 if is_delimited else header.length), None


def _check_depth(levels: int) -> None:
    """Raise DamagedDataSet for more sequences within each other than `MAXIMUM_DEPTH`; each is two levels."""
    if levels > 2 * MAXIMUM_DEPTH:
        raise DamagedDataSet(f"it has more than {MAXIMUM_DEPTH} sequences within each other")


class _OpenEnd(NamedTuple):
    """The delimiter that ends an open sequence or item, and whether Explicit VR is inside."""

    delimiter: int
    is_explicit: bool


def _opened(header: _Header, parent: _OpenEnd) -> _OpenEnd:
    if header.tag == _ITEM:
        return _OpenEnd(_ITEM_END, parent.is_explicit)
    return _OpenEnd(_SEQUENCE_END, parent.is_explicit and header.vr not in ("", "UN"))


def _close(open_ends: list[_OpenEnd], delimiter: int) -> None:
    """Close what a delimiter ends: a sequence's also the open item, an item's never a sequence."""
    ends_item = open_ends[-1].delimiter == _ITEM_END
    if delimiter == _SEQUENCE_END or ends_item:
        open_ends.pop()
    if delimiter == _SEQUENCE_END and ends_item:
        open_ends.pop()
