"""Content items in a line each: highdicom's value types with the node's codes.

Children are given with the parent. highdicom 0.28.2 copies a sequence when it is assigned, so what is
appended to the original afterwards is silently lost.
"""

from collections.abc import Sequence

import numpy as np
from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    ScoordContentItem,
    TextContentItem,
    UIDRefContentItem,
)
from highdicom.sr import RelationshipTypeValues as Relationship

from cxr_node.domain.codes import Code
from cxr_node.domain.instance import Identity
from cxr_node.domain.reading import Point
from cxr_node.report import codes
from cxr_node.report.elements import verbatim

__all__ = ["ContentItem", "Relationship", "code", "container", "image", "number", "polyline", "text", "uid_reference"]

_CONTAINS = Relationship.CONTAINS
_TEXT_CHARACTERS = 65536
_ANY_UID = "2.25.0"


def code(name: Code, value: Code, relationship: Relationship = _CONTAINS, *children: ContentItem) -> ContentItem:
    """Return a CODE item."""
    item = CodeContentItem(name=_concept(name), value=_concept(value), relationship_type=relationship)
    return _with(item, children)


def text(name: Code, value: str, relationship: Relationship = _CONTAINS, *children: ContentItem) -> ContentItem:
    """Return a TEXT item; `value` is not empty."""
    item = TextContentItem(name=_concept(name), value=value[:_TEXT_CHARACTERS], relationship_type=relationship)
    return _with(item, children)


def uid_reference(name: Code, value: str, relationship: Relationship = _CONTAINS) -> ContentItem:
    """Return a UIDREF item."""
    return UIDRefContentItem(name=_concept(name), value=value, relationship_type=relationship)


def number(
    name: Code, value: float, unit: Code, relationship: Relationship = _CONTAINS, *children: ContentItem
) -> ContentItem:
    """Return a NUM item."""
    item = NumContentItem(name=_concept(name), value=value, unit=_concept(unit), relationship_type=relationship)
    if isinstance(value, int):
        item.MeasuredValueSequence[0].NumericValue = str(value)  # highdicom 0.28.2 writes 1024 as 1024.0
    return _with(item, children)


def container(
    name: Code, *children: ContentItem, relationship: Relationship | None = _CONTAINS, template: str | None = None
) -> ContentItem:
    """Return a CONTAINER item; the root of a document has no relationship."""
    item = ContainerContentItem(name=_concept(name), template_id=template, relationship_type=relationship)
    return _with(item, children)


def image(name: Code, film: Identity, relationship: Relationship = _CONTAINS, *children: ContentItem) -> ContentItem:
    """Return an IMAGE item that refers to a film."""
    item = ImageContentItem(
        name=_concept(name),
        referenced_sop_class_uid=film.sop_class_uid,
        referenced_sop_instance_uid=_ANY_UID,
        relationship_type=relationship,
    )
    item.ReferencedSOPSequence[0].add(verbatim("ReferencedSOPInstanceUID", film.sop_instance_uid))
    return _with(item, children)


def polyline(name: Code, points: Sequence[Point], film: Identity, relationship: Relationship) -> ContentItem:
    """Return a SCOORD item of type POLYLINE on a film; `points` are (column, row), at least two."""
    item = ScoordContentItem(
        name=_concept(name),
        graphic_type="POLYLINE",
        graphic_data=np.asarray(points, dtype=np.float32),
        relationship_type=relationship,
    )
    return _with(item, [image(codes.SOURCE, film, Relationship.SELECTED_FROM)])


def _concept(entry: Code) -> CodedConcept:
    return CodedConcept(value=entry.value, scheme_designator=entry.scheme_designator, meaning=entry.meaning)


def _with(item: ContentItem, children: Sequence[ContentItem]) -> ContentItem:
    if children:
        item.ContentSequence = ContentSequence(children)
    return item
