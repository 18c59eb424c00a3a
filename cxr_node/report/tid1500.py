"""The default result: an Imaging Measurement Report (TID 1500) as Comprehensive 3D SR, one per study."""

from collections.abc import Sequence
from datetime import datetime

from pydicom.uid import Comprehensive3DSRStorage

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance
from cxr_node.report import codes
from cxr_node.report.content import ContentItem, Relationship, code, container, text, uid_reference
from cxr_node.report.document import Kind, document
from cxr_node.report.groups import groups_of
from cxr_node.report.library import image_library
from cxr_node.report.source import Film, Node, PreviousReport
from cxr_node.report.study import brought_together
from cxr_node.report.summary import evaluations

COMPREHENSIVE_3D = Kind(
    name="TID1500",
    sop_class_uid=Uid(Comprehensive3DSRStorage),
    series_offset=0,
    series_description="AI CXR findings - RESEARCH",
)

_CONTEXT = Relationship.HAS_OBS_CONTEXT


def compose(
    films: Sequence[Film],
    *,
    node: Node,
    now: datetime,
    previous: Sequence[PreviousReport] = (),
    instance_number: int = 1,
) -> Instance:
    """Return the report on all films of a study, analysed or not.

    The same films, readings and node give the same SOP Instance UID whatever `now` is.

    Parameters
    ----------
    now
        Aware; see `document`.
    previous
        Reports of the study that this one replaces.

    Raises
    ------
    GiveUp
        IDENTITY: the films are not all of one patient and study.
    """
    together = brought_together(films)
    return document(
        content(together, node),
        together,
        kind=COMPREHENSIVE_3D,
        node=node,
        now=now,
        previous=previous,
        instance_number=instance_number,
    )


def content(films: Sequence[Film], node: Node) -> ContentItem:
    """Return the content tree on films with safe headers. It holds no time, so it is the same whenever it is made."""
    groups = [group for film in films for group in groups_of(film, node)]
    return container(
        codes.IMAGING_MEASUREMENT_REPORT,
        code(codes.LANGUAGE, codes.ENGLISH, Relationship.HAS_CONCEPT_MOD),
        *observer(node),
        code(codes.PROCEDURE_REPORTED, codes.IMAGING_PROCEDURE, Relationship.HAS_CONCEPT_MOD),
        image_library(films),
        container(codes.IMAGING_MEASUREMENTS, *groups),
        evaluations([film.reading for film in films]),
        relationship=None,
        template="1500",
    )


def observer(node: Node) -> list[ContentItem]:
    """Return who observed: a device (TID 1002, 1004)."""
    return [
        code(codes.OBSERVER_TYPE, codes.DEVICE, _CONTEXT),
        uid_reference(codes.DEVICE_OBSERVER_UID, node.uid, _CONTEXT),
        text(codes.DEVICE_OBSERVER_NAME, node.name, _CONTEXT),
        text(codes.DEVICE_OBSERVER_MANUFACTURER, node.manufacturer, _CONTEXT),
        text(codes.DEVICE_OBSERVER_MODEL_NAME, node.model_name, _CONTEXT),
        text(codes.DEVICE_OBSERVER_SERIAL_NUMBER, node.serial_number, _CONTEXT),
    ]
