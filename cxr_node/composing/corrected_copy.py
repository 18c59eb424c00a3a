"""Copy of a film whose header states another patient: the bytes of all other elements stay as they were received.

What is replaced is recorded in Original Attributes Sequence (0400,0561; PS3.3 section C.12.1.1.9.1). The copy is made
of the encoded bytes by the walk of reception, so that no parser of pixels or private elements can change them.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest

from pydicom.charset import encode_string
from pydicom.datadict import dictionary_description
from pydicom.valuerep import PersonName

from cxr_node.domain.deflated import DEFLATED, inflate
from cxr_node.domain.encoded_data_set import EXPLICIT_VR_BIG_ENDIAN, UNDEFINED, DamagedDataSet, Element, walk
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.patient_update import CannotUpdate
from cxr_node.report.header.character_sets import UNICODE, decode, encodings_of

PATIENT_NAME, PATIENT_ID, ISSUER_OF_PATIENT_ID = 0x00100010, 0x00100020, 0x00100021
PATIENT_BIRTH_DATE, PATIENT_SEX = 0x00100030, 0x00100040
_VRS = {
    PATIENT_NAME: "PN",
    PATIENT_ID: "LO",
    ISSUER_OF_PATIENT_ID: "LO",
    PATIENT_BIRTH_DATE: "DA",
    PATIENT_SEX: "CS",
}
TAGS = frozenset(_VRS)
"""Elements that an update may change."""
_SPECIFIC_CHARACTER_SET = 0x00080005
_SOP_INSTANCE_UID = 0x00080018
_ORIGINAL_ATTRIBUTES = 0x04000561
_MODIFIED_ATTRIBUTES, _MODIFIED_AT = 0x04000550, 0x04000562
_MODIFYING_SYSTEM, _SOURCE_OF_PREVIOUS, _REASON = 0x04000563, 0x04000564, 0x04000565
_GROUP_LENGTHS = frozenset({0x00080000, 0x00100000, 0x04000000})
"""Retired lengths of the groups that change."""
_LONG_VRS = frozenset({"SQ"})
_ITEM = 0xFFFEE000
_TEXT_MAXIMUM = 64
_MAXIMUM_INFLATED_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedCopy:
    """A data set with another patient, and the names of the elements that differ."""

    data_set: bytes
    corrected: tuple[str, ...]


def patient_values(
    data_set: memoryview, *, transfer_syntax_uid: Uid, character_sets: Sequence[str] | None
) -> dict[int, str]:
    """Return the decoded values of the patient's elements that a film has."""
    film = _Film(data_set, transfer_syntax_uid, character_sets)
    return {tag: film.text(tag) for tag in TAGS & film.elements.keys()}


def corrected_copy(
    data_set: memoryview,
    new: Mapping[int, str],
    *,
    transfer_syntax_uid: Uid,
    character_sets: Sequence[str] | None,
    system: str,
    at: datetime,
) -> CorrectedCopy | None:
    """Return a copy of a film with new values of the patient's elements; None if it states them already.

    Parameters
    ----------
    new
        Values by tag of `TAGS`; an empty one is written without a value.
    character_sets
        The actual Specific Character Set of the sender's films; None: what the film declares.
    system, at
        Modifying System (0400,0563), and when.

    Raises
    ------
    CannotUpdate
        If a value cannot be written in the character set of the film, or its bytes cannot be read.
    """
    film = _Film(data_set, transfer_syntax_uid, character_sets)
    changed = {tag: text for tag, text in new.items() if not _states(tag, film.text(tag), text)}
    if not changed:
        return None
    values, declares_unicode = film.encoded(changed)
    elements = {tag: film.element(tag, _VRS[tag], value) for tag, value in values.items()}
    if declares_unicode:
        elements[_SPECIFIC_CHARACTER_SET] = film.element(_SPECIFIC_CHARACTER_SET, "CS", UNICODE.encode("ascii"))
    elements[_ORIGINAL_ATTRIBUTES] = film.original_attributes(sorted(changed), system=system, at=at)
    return CorrectedCopy(
        data_set=film.with_elements(elements),
        corrected=tuple(dictionary_description(tag) for tag in sorted(changed)),
    )


def _states(tag: int, present: str, new: str) -> bool:
    """Whether a film states a value already; of a name, every group that the new one has."""
    if tag != PATIENT_NAME or not new:
        return present.strip() == new.strip()
    groups = zip_longest(_groups(present), _groups(new), fillvalue="")
    return all(one == other for one, other in groups if other)


def _groups(name: str) -> list[str]:
    return ["^".join(part.strip() for part in group.split("^")).rstrip("^") for group in name.split("=")]


class _Film:
    """An encoded data set with its elements by tag, the first of each."""

    def __init__(self, data_set: memoryview, syntax: Uid, character_sets: Sequence[str] | None) -> None:
        self._is_deflated = syntax in DEFLATED
        try:
            if self._is_deflated:
                inflated, is_whole = inflate(data_set, maximum_bytes=_MAXIMUM_INFLATED_BYTES)
                if not is_whole:
                    raise CannotUpdate("a film is too large to be inflated")
                data_set = memoryview(inflated)
            self._all = list(walk(data_set, transfer_syntax_uid=syntax))
        except DamagedDataSet as error:
            raise CannotUpdate(f"a film cannot be read: {error}") from None
        self._data_set = data_set
        self._order = ">" if syntax == EXPLICIT_VR_BIG_ENDIAN else "<"
        self.elements: dict[int, Element] = {}
        for element in self._all:
            self.elements.setdefault(element.tag, element)
        uid = self.elements.get(_SOP_INSTANCE_UID)
        self._is_explicit = uid is not None and uid.vr != ""
        declared = self._value(_SPECIFIC_CHARACTER_SET).decode("latin-1").strip(" \0")
        self._is_declared = bool(declared) or bool(character_sets)
        sets = character_sets if character_sets is not None else declared.split("\\") if declared else ()
        self._encodings = encodings_of(sets)

    def text(self, tag: int) -> str:
        """Return a decoded value, empty if there is none."""
        value = self._value(tag)
        return decode(value, self._encodings, is_person_name=tag == PATIENT_NAME, is_declared=self._is_declared)

    def encoded(self, values: Mapping[int, str]) -> tuple[dict[int, bytes], bool]:
        """Return encoded values, and whether the film has to declare UTF-8 for them: it declares no character set."""
        if all(text.isascii() for text in values.values()):
            return {tag: text.encode("ascii") for tag, text in values.items()}, False
        declares_unicode = not self._is_declared
        encodings = ("utf-8",) if declares_unicode else self._encodings
        if not all(_can_be_written(sign, encodings) for text in values.values() for sign in text):
            raise CannotUpdate("a film's character set lacks a character of the new value")
        return {tag: _encoded(tag, text, encodings) for tag, text in values.items()}, declares_unicode

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """Return an encoded element, padded to an even length."""
        padded = value + b" " * (len(value) % 2)
        group, number = tag >> 16, tag & 0xFFFF
        if not self._is_explicit:
            return struct.pack(f"{self._order}HHL", group, number, len(padded)) + padded
        if vr in _LONG_VRS:
            return struct.pack(f"{self._order}HH2s2xL", group, number, vr.encode(), len(padded)) + padded
        return struct.pack(f"{self._order}HH2sH", group, number, vr.encode(), len(padded)) + padded

    def original_attributes(self, tags: Sequence[int], *, system: str, at: datetime) -> bytes:
        """Return Original Attributes Sequence: its items so far, and one with the values of now."""
        was = b"".join(self.element(tag, _VRS[tag], self._value(tag)) for tag in tags)
        item = b"".join(
            (
                self.element(_MODIFIED_ATTRIBUTES, "SQ", self._item(was)),
                self.element(_MODIFIED_AT, "DT", f"{at.astimezone(UTC):%Y%m%d%H%M%S.%f}+0000".encode("ascii")),
                self.element(_MODIFYING_SYSTEM, "LO", _ascii(system)),
                self.element(_SOURCE_OF_PREVIOUS, "LO", b""),
                self.element(_REASON, "CS", b"CORRECT"),
            )
        )
        return self.element(_ORIGINAL_ATTRIBUTES, "SQ", self._earlier_items() + self._item(item))

    def with_elements(self, new: Mapping[int, bytes]) -> bytes:
        """Return the data set with elements in place of those of the same tag, in the order of tags."""
        starts = [self._start(element) for element in self._all]
        ends = [*starts[1:], len(self._data_set)]
        pending = sorted(new)
        parts: list[bytes | memoryview] = [self._data_set[: starts[0] if starts else 0]]
        for element, start, end in zip(self._all, starts, ends, strict=True):
            while pending and pending[0] <= element.tag:
                parts.append(new[pending.pop(0)])
            if element.tag not in new and element.tag not in _GROUP_LENGTHS:
                parts.append(self._data_set[start:end])
        data_set = b"".join((*parts, *(new[tag] for tag in pending)))
        if not self._is_deflated:
            return data_set
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        deflated = deflater.compress(data_set) + deflater.flush()
        return deflated + b"\0" * (len(deflated) % 2)

    def _value(self, tag: int) -> bytes:
        element = self.elements.get(tag)
        if element is None or element.length == UNDEFINED:
            return b""
        return bytes(self._data_set[element.start : element.end])

    def _earlier_items(self) -> bytes:
        element = self.elements.get(_ORIGINAL_ATTRIBUTES)
        if element is None or element.is_implicit_inside == self._is_explicit:
            return b""
        return bytes(self._data_set[element.start : element.end])

    def _item(self, content: bytes) -> bytes:
        return struct.pack(f"{self._order}HHL", _ITEM >> 16, _ITEM & 0xFFFF, len(content)) + content

    def _start(self, element: Element) -> int:
        """Return where the header of an element begins: 8 or 12 bytes before its value."""
        tag = struct.pack(f"{self._order}HH", element.tag >> 16, element.tag & 0xFFFF)
        for size in (8, 12):
            start = element.start - size
            if start >= 0 and self._data_set[start : start + 4] == tag:
                return start
        raise CannotUpdate("a film cannot be read: an element has no header")


def _can_be_written(character: str, encodings: Sequence[str]) -> bool:
    """Whether one of the encodings has a character; pydicom would replace it by another."""
    for encoding in encodings:
        with suppress(UnicodeEncodeError):
            character.encode(encoding)
            return True
    return False


def _encoded(tag: int, text: str, encodings: Sequence[str]) -> bytes:
    if tag == PATIENT_NAME:
        return PersonName(text).encode(list(encodings))
    return encode_string(text, list(encodings))


def _ascii(text: str) -> bytes:
    return text.encode("ascii", errors="replace").replace(b"\\", b"?")[:_TEXT_MAXIMUM]
