"""Safe header of a film, for results to copy from: Unicode, complete, valid, without pixels."""

import contextlib
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_has_tag, dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import PersonName
from pydicom.values import convert_value

from cxr_node.report.header.character_sets import UNICODE, decode, encodings_of, without_gb2312_escapes
from cxr_node.report.header.elements import keywords
from cxr_node.report.header.values import CLEANERS, identifier, utc_offset

_TYPE_2 = keywords("""
    AccessionNumber PatientBirthDate PatientID PatientName PatientSex ReferringPhysicianName StudyDate StudyID
    StudyTime
""")
"""Attributes of the Patient and General Study modules that shall be present, empty where unknown (PS3.3 C.7)."""

_IDENTIFIERS = frozenset({"AccessionNumber", "PatientID", "IssuerOfPatientID", "OtherPatientIDs", "StudyID"})
_BULK_GROUPS = frozenset({0x5000, 0x5400, 0x6000, 0x7FE0, 0xFFFA, 0xFFFC, 0xFFFE})
_NUMBERS = frozenset({"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
_LUT_DESCRIPTOR = 0x00283002
_LUT_DATA = 0x00283006
"""The one bulk element that a result repeats: a presentation state has the film's tables."""
_SEXES = frozenset({"M", "F", "O"})
_TEXT_IN_ANY_SCRIPT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_MAY_NAME = frozenset({"LO", "PN", "SH", "UC"})
"""VRs of identifiers and names, which keep a forbidden backslash."""
_SINGLE_VALUED = frozenset({"LT", "ST", "UT"})
_UNREADABLE = (
    AttributeError,
    BytesLengthException,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    TypeError,
    ValueError,
    struct.error,
)
"""Exceptions of pydicom 3.0.2 when it converts an element that does not fit its VR."""

_MODALITY = {"1.2.840.10008.5.1.4.1.1.1": "CR"}
_MODALITY |= {f"1.2.840.10008.5.1.4.1.1.1.1{suffix}": "DX" for suffix in ("", ".1")}


def safe_header(dataset: Dataset, *, character_sets: Sequence[str] | None = None) -> Dataset:
    """Return a copy of `dataset` from which every result can copy without failure; `dataset` is not changed.

    Private and bulk elements are removed, text is Unicode under ISO_IR 192, and type 2 attributes of patient and study
    are present. Values that are invalid for their VR are put into the standard's form or emptied. Identifiers such as
    Patient ID keep every character.

    Parameters
    ----------
    character_sets
        Specific Character Set that overrides the film's own, for films that declare a wrong one.
    """
    declared = _declared(dataset) if character_sets is None else tuple(character_sets)
    header = _copy(dataset, declared)
    for keyword in _TYPE_2:
        if keyword not in header:
            setattr(header, keyword, "")
    if header.PatientSex not in _SEXES:
        header.PatientSex = ""
    if not header.get("Modality"):
        header.Modality = _MODALITY.get(header.get("SOPClassUID", ""), "OT")
    header.SpecificCharacterSet = UNICODE
    return header


def _declared(dataset: Dataset) -> tuple[str, ...]:
    if "SpecificCharacterSet" not in dataset:
        return ()
    return tuple(_texts(dataset.get_item("SpecificCharacterSet", keep_deferred=True), "CS", ()))


def _copy(source: Dataset, declared: Sequence[str]) -> Dataset:
    copy = Dataset()
    for tag in source.keys():  # noqa: SIM118 -- iterating a Dataset converts its elements, warning of each bad one
        if is_copied(tag):
            # On arbitrary bytes pydicom raises arbitrary exceptions; such an element is left out.
            with contextlib.suppress(Exception):
                element = _safe_element(source, tag, declared)
                if element is not None:
                    copy.add(element)
    return copy


def is_copied(tag: BaseTag) -> bool:
    """Whether `safe_header` copies elements of this tag: neither private, bulk, nor unknown ones."""
    group = tag.group & 0xFF00 if 0x5000 <= tag.group < 0x6100 else tag.group
    return not tag.is_private and tag.element != 0 and group not in _BULK_GROUPS and dictionary_has_tag(tag)


def _safe_element(source: Dataset, tag: BaseTag, declared: Sequence[str]) -> DataElement | None:
    element = source.get_item(tag, keep_deferred=True)
    vr = _vr(element, tag)
    if vr == "SQ":
        items = [item for item in (_copy(item, declared) for item in _items(element)) if len(item)]
        return DataElement(tag, "SQ", items) if items else None
    if vr in CLEANERS:
        return _safe_text(element, tag, vr, declared)
    if tag in (_LUT_DESCRIPTOR, _LUT_DATA):
        return _lut(element, tag)
    return _number(element, tag, vr) if vr in _NUMBERS else None


def _vr(element: DataElement | RawDataElement, tag: BaseTag) -> str:
    vr = dictionary_VR(tag)
    return str(element.VR) if element.VR is not None and " or " in vr else vr


def _items(element: DataElement | RawDataElement) -> list[Dataset]:
    """Return the items of a sequence; none if the element is no sequence."""
    value = _converted(element, "SQ")
    return [item for item in value if isinstance(item, Dataset)] if isinstance(value, Sequence) else []


def _number(element: DataElement | RawDataElement, tag: BaseTag, vr: str) -> DataElement | None:
    value = _converted(element, vr)
    if dictionary_VM(tag) == "1" and isinstance(value, list | MultiValue):
        value = value[0] if value else None
    return None if value is None else DataElement(tag, vr, value, validation_mode=IGNORE)


def _converted(element: DataElement | RawDataElement, vr: str) -> Any:
    """Return an element's value, None if it does not fit its VR.

    The data set would return it too, but pydicom then checks the character set and warns of it.
    """
    if not isinstance(element, RawDataElement):
        return element.value
    try:
        return convert_value(vr, element) if element.value else None
    except _UNREADABLE:
        return None


def _lut(element: DataElement | RawDataElement, tag: BaseTag) -> DataElement | None:
    """Return part of a table: LUT Data as OW; LUT Descriptor, whose VR is ambiguous in Implicit VR, as US."""
    value = element.value
    if not value:
        return None
    if not isinstance(value, bytes):
        return DataElement(tag, "US", value, validation_mode=IGNORE)
    little_endian = not isinstance(element, RawDataElement) or element.is_little_endian
    words = array("H", value[: len(value) // 2 * 2])
    if little_endian != (sys.byteorder == "little"):
        words.byteswap()
    return DataElement(tag, "OW", words.tobytes()) if tag == _LUT_DATA else DataElement(tag, "US", words.tolist())


def _safe_text(element: DataElement | RawDataElement, tag: BaseTag, vr: str, declared: Sequence[str]) -> DataElement:
    values = [_clean(text, tag, vr) for text in _texts(element, vr, declared)]
    if not any(values):
        values = []
    if vr not in _MAY_NAME and dictionary_VM(tag) == "1":
        values = values[:1]
    value = "" if not values else values[0] if len(values) == 1 else values
    return DataElement(tag, vr, value, validation_mode=IGNORE)


def _clean(text: str, tag: BaseTag, vr: str) -> str:
    if tag == 0x00080201:
        return utc_offset(text)
    return identifier(text) if keyword_for_tag(tag) in _IDENTIFIERS else CLEANERS[vr](text)


def _texts(element: DataElement | RawDataElement, vr: str, declared: Sequence[str]) -> list[str]:
    value = element.value
    if isinstance(value, bytes):
        encodings = encodings_of(declared if vr in _TEXT_IN_ANY_SCRIPT else ())
        text = decode(value, encodings, is_person_name=vr == "PN", is_declared=bool(declared))
        return [text] if vr in _SINGLE_VALUED else text.split("\\")
    if value is None:
        return []
    if isinstance(value, str | PersonName | UID | int | float):
        return [without_gb2312_escapes(str(value))]
    return [without_gb2312_escapes(str(one)) for one in value]
