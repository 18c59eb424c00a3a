"""Content items in a line each (PS3.3 section C.17.3), made as data sets with the node's codes.

Elements are made ready for encoding and not through attribute access, which costs ten times as much: a report on one
film has six hundred items (decision record 0065). What is made here is held against `check` before it leaves.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import cast

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import DS

from cxr_node.domain.codes import Code
from cxr_node.domain.instance import Identity
from cxr_node.domain.reading import Point
from cxr_node.report import codes

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
    ConceptCodeSequence TextValue UID MeasuredValueSequence NumericValue FloatingPointValue
    MeasurementUnitsCodeSequence ContinuityOfContent ContentTemplateSequence MappingResource TemplateIdentifier
    ReferencedSOPSequence ReferencedSOPClassUID ReferencedSOPInstanceUID ReferencedSegmentNumber GraphicData GraphicType
"""
_OF = {keyword: (Tag(keyword), dictionary_VR(keyword)) for keyword in _KEYWORDS.split()}


def code(name: Code, value: Code, relationship: Relationship = _CONTAINS, *children: ContentItem) -> ContentItem:
    """Return a CODE item."""
    return _item("CODE", name, relationship, children, ConceptCodeSequence=[_coded(value)])


def text(name: Code, value: str, relationship: Relationship = _CONTAINS, *children: ContentItem) -> ContentItem:
    """Return a TEXT item; `value` is not empty."""
    return _item("TEXT", name, relationship, children, TextValue=value[:_TEXT_CHARACTERS])


def uid_reference(name: Code, value: str, relationship: Relationship = _CONTAINS) -> ContentItem:
    """Return a UIDREF item."""
    return _item("UIDREF", name, relationship, (), UID=value)


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
    name: Code, *children: ContentItem, relationship: Relationship | None = _CONTAINS, template: str | None = None
) -> ContentItem:
    """Return a CONTAINER item; the root of a document has no relationship."""
    made = {"ContinuityOfContent": "CONTINUOUS"}
    if template is None:
        return _item("CONTAINER", name, relationship, children, **made)
    from_dcmr = [_dataset(MappingResource="DCMR", TemplateIdentifier=template)]
    return _item("CONTAINER", name, relationship, children, **made, ContentTemplateSequence=from_dcmr)


def image(
    name: Code | None, film: Identity, relationship: Relationship = _CONTAINS, *children: ContentItem
) -> ContentItem:
    """Return an IMAGE item that refers to a film; some templates give it no name."""
    reference = _dataset(ReferencedSOPClassUID=film.sop_class_uid, ReferencedSOPInstanceUID=film.sop_instance_uid)
    return _item("IMAGE", name, relationship, children, ReferencedSOPSequence=[reference])


def polyline(
    name: Code,
    points: Sequence[Point],
    film: Identity,
    relationship: Relationship,
    *,
    name_of_image: Code | None = codes.SOURCE,
) -> ContentItem:
    """Return an SCOORD item of type POLYLINE on a film; `points` are (column, row), at least two."""
    return _coordinates("POLYLINE", name, points, relationship, image(name_of_image, film, Relationship.SELECTED_FROM))


def point(
    name: Code, at: Point, film: Identity, relationship: Relationship, *, name_of_image: Code | None = codes.SOURCE
) -> ContentItem:
    """Return an SCOORD item of type POINT on a film."""
    return _coordinates("POINT", name, [at], relationship, image(name_of_image, film, Relationship.SELECTED_FROM))


def _coordinates(
    kind: str, name: Code, points: Sequence[Point], relationship: Relationship, on: ContentItem
) -> ContentItem:
    flat = [float(each) for pair in points for each in pair]
    return _item("SCOORD", name, relationship, [on], GraphicData=flat, GraphicType=kind)


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
    """Return an item of a code sequence: one for all that say it, which nobody may change (see `put_into`)."""
    return _dataset(CodeValue=entry.value, CodingSchemeDesignator=entry.scheme_designator, CodeMeaning=entry.meaning)


def _dataset(**values: object) -> Dataset:
    """Return a data set of elements by keyword, whose values need no conversion; a list of data sets is a sequence."""
    elements: dict[BaseTag, DataElement | RawDataElement] = {}
    for keyword, value in values.items():
        tag, vr = _OF[keyword]
        ready = Items(cast("Sequence[Dataset]", value)) if vr == "SQ" else value
        elements[tag] = DataElement(tag, vr, ready, already_converted=True)
    return Dataset(elements)
