"""Content items (PS3.3 section C.17.3) as data sets, one function per value type.

Elements are built ready for encoding: attribute access costs ten times as much, and a report on one film has six
hundred items (decision 0065). `check` tests every document before it leaves.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import cast

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag
from pydicom.valuerep import DS

from cxr_node.domain.codes import Code
from cxr_node.domain.instance import Identity
from cxr_node.domain.reading import Point
from cxr_node.report import codes
from cxr_node.report.header.elements import tag_of

ContentItem = Dataset
"""A content item, its children in Content Sequence."""


class Relationship(StrEnum):
    """Relationship Type (0040,A010) of an item to the one above it (PS3.3 section C.17.3.2.4)."""

    CONTAINS = "CONTAINS"
    HAS_ACQ_CONTEXT = "HAS ACQ CONTEXT"
    HAS_CONCEPT_MOD = "HAS CONCEPT MOD"
    HAS_OBS_CONTEXT = "HAS OBS CONTEXT"
    HAS_PROPERTIES = "HAS PROPERTIES"
    INFERRED_FROM = "INFERRED FROM"
    SELECTED_FROM = "SELECTED FROM"


_CONTAINS = Relationship.CONTAINS
_TEXT_CHARACTERS = 65536
_KEYWORDS = """
    CodeValue CodingSchemeDesignator CodeMeaning ValueType ConceptNameCodeSequence RelationshipType ContentSequence
    ConceptCodeSequence TextValue UID Date Time MeasuredValueSequence NumericValue FloatingPointValue
    MeasurementUnitsCodeSequence ContinuityOfContent ContentTemplateSequence MappingResource TemplateIdentifier
    ReferencedSOPSequence ReferencedSOPClassUID ReferencedSOPInstanceUID ReferencedSegmentNumber GraphicData GraphicType
"""
_ELEMENTS = {keyword: (tag_of(keyword), dictionary_VR(keyword)) for keyword in _KEYWORDS.split()}


def code(name: Code, value: Code, relationship: Relationship = _CONTAINS, *children: ContentItem) -> ContentItem:
    """Return a CODE item."""
    return _item("CODE", name, relationship, children, ConceptCodeSequence=[_coded(value)])


def text(name: Code, value: str, relationship: Relationship = _CONTAINS, *children: ContentItem) -> ContentItem:
    """Return a TEXT item; `value` is not empty."""
    return _item("TEXT", name, relationship, children, TextValue=value[:_TEXT_CHARACTERS])


def uid_reference(name: Code, value: str, relationship: Relationship = _CONTAINS) -> ContentItem:
    """Return a UIDREF item."""
    return _item("UIDREF", name, relationship, (), UID=value)


def date(name: Code, value: str, relationship: Relationship = _CONTAINS) -> ContentItem:
    """Return a DATE item; `value` is a date of 8 digits."""
    return _item("DATE", name, relationship, (), Date=value)


def time(name: Code, value: str, relationship: Relationship = _CONTAINS) -> ContentItem:
    """Return a TIME item; `value` has 4 or 6 digits."""
    return _item("TIME", name, relationship, (), Time=value)


def number(
    name: Code, value: float, unit: Code, relationship: Relationship = _CONTAINS, *children: ContentItem
) -> ContentItem:
    """Return a NUM item."""
    exact = {} if isinstance(value, int) else {"FloatingPointValue": value}
    measured = _dataset(
        NumericValue=DS(str(value) if isinstance(value, int) else value, auto_format=True),
        MeasurementUnitsCodeSequence=[_coded(unit)],
        **exact,
    )
    return _item("NUM", name, relationship, children, MeasuredValueSequence=[measured])


def container(
    name: Code,
    *children: ContentItem,
    relationship: Relationship | None = _CONTAINS,
    template: str | None = None,
    continuous: bool = True,
) -> ContentItem:
    """Return a CONTAINER item; the root of a document has no relationship.

    Viewers write the items of a `continuous` one as running text, and else each under its name.
    """
    continuity = {"ContinuityOfContent": "CONTINUOUS" if continuous else "SEPARATE"}
    if template is None:
        return _item("CONTAINER", name, relationship, children, **continuity)
    from_dcmr = [_dataset(MappingResource="DCMR", TemplateIdentifier=template)]
    return _item("CONTAINER", name, relationship, children, **continuity, ContentTemplateSequence=from_dcmr)


def image(
    name: Code | None,
    film: Identity,
    relationship: Relationship = _CONTAINS,
    *children: ContentItem,
    segment: int | None = None,
) -> ContentItem:
    """Return an IMAGE item that refers to a film or to a result with pixels; some templates give it no name."""
    part = {} if segment is None else {"ReferencedSegmentNumber": segment}
    reference = _dataset(
        ReferencedSOPClassUID=film.sop_class_uid, ReferencedSOPInstanceUID=film.sop_instance_uid, **part
    )
    return _item("IMAGE", name, relationship, children, ReferencedSOPSequence=[reference])


def composite(name: Code, result: Identity, relationship: Relationship = _CONTAINS) -> ContentItem:
    """Return a COMPOSITE item that refers to an object without pixels."""
    reference = _dataset(ReferencedSOPClassUID=result.sop_class_uid, ReferencedSOPInstanceUID=result.sop_instance_uid)
    return _item("COMPOSITE", name, relationship, (), ReferencedSOPSequence=[reference])


def polyline(
    name: Code,
    points: Sequence[Point],
    film: Identity,
    relationship: Relationship,
    *,
    image_name: Code | None = codes.SOURCE,
) -> ContentItem:
    """Return an SCOORD item of type POLYLINE on a film; `points` are (column, row), at least two."""
    return _coordinates("POLYLINE", name, points, relationship, image(image_name, film, Relationship.SELECTED_FROM))


def point(
    name: Code, at: Point, film: Identity, relationship: Relationship, *, image_name: Code | None = codes.SOURCE
) -> ContentItem:
    """Return an SCOORD item of type POINT on a film."""
    return _coordinates("POINT", name, [at], relationship, image(image_name, film, Relationship.SELECTED_FROM))


def _coordinates(
    kind: str, name: Code, points: Sequence[Point], relationship: Relationship, source: ContentItem
) -> ContentItem:
    flat = [float(coordinate) for point in points for coordinate in point]
    return _item("SCOORD", name, relationship, [source], GraphicData=flat, GraphicType=kind)


def _item(
    value_type: str,
    name: Code | None,
    relationship: Relationship | None,
    children: Sequence[ContentItem],
    **values: object,
) -> ContentItem:
    if name is not None:
        values["ConceptNameCodeSequence"] = [_coded(name)]
    if relationship is not None:
        values["RelationshipType"] = relationship.value
    if children:
        values["ContentSequence"] = children
    return _dataset(ValueType=value_type, **values)


@lru_cache(maxsize=1024)
def _coded(entry: Code) -> Dataset:
    """Return an item of a code sequence; all uses of a code share it, so it must not be changed (see `translate`)."""
    return _dataset(CodeValue=entry.value, CodingSchemeDesignator=entry.scheme_designator, CodeMeaning=entry.meaning)


def _dataset(**values: object) -> Dataset:
    """Return a data set of elements by keyword, whose values need no conversion; a list of data sets is a sequence."""
    elements: dict[BaseTag, DataElement | RawDataElement] = {}
    for keyword, value in values.items():
        tag, vr = _ELEMENTS[keyword]
        converted = Items(cast("Sequence[Dataset]", value)) if vr == "SQ" else value
        elements[tag] = DataElement(tag, vr, converted, already_converted=True)
    return Dataset(elements)
