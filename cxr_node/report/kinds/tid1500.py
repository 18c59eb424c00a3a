"""The default result: an Imaging Measurement Report (TID 1500), one per study.

Comprehensive 3D SR is what IHE AI Results asks for. Nothing in the tree needs its third dimension, so the
same tree goes out as Comprehensive or Enhanced SR to archives that know only those.
"""

from collections.abc import Sequence
from datetime import datetime

from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance
from cxr_node.report import codes
from cxr_node.report.header.header import ResultType
from cxr_node.report.source import Film, Observer, PreviousReport
from cxr_node.report.sr.content import ContentItem, container
from cxr_node.report.sr.context import observation_context
from cxr_node.report.sr.document import document
from cxr_node.report.sr.groups import groups_of
from cxr_node.report.sr.library import image_library
from cxr_node.report.study import brought_together
from cxr_node.report.summary import evaluations

_DESCRIPTION = "AI CXR findings - RESEARCH"
COMPREHENSIVE_3D = ResultType(
    name="TID1500",
    sop_class_uid=Uid(Comprehensive3DSRStorage),
    modality="SR",
    series_offset=0,
    series_description=_DESCRIPTION,
)
COMPREHENSIVE = ResultType(
    name="TID1500/COMPREHENSIVE",
    sop_class_uid=Uid(ComprehensiveSRStorage),
    modality="SR",
    series_offset=0,
    series_description=_DESCRIPTION,
)
ENHANCED = ResultType(
    name="TID1500/ENHANCED",
    sop_class_uid=Uid(EnhancedSRStorage),
    modality="SR",
    series_offset=0,
    series_description=_DESCRIPTION,
)


def compose(
    films: Sequence[Film],
    *,
    node: Observer,
    now: datetime,
    previous: Sequence[PreviousReport] = (),
    instance_number: int = 1,
    kind: ResultType = COMPREHENSIVE_3D,
) -> Instance:
    """Return the report on all films of a study, analysed or not.

    The same films, readings and node give the same SOP Instance UID whatever `now` is.

    Parameters
    ----------
    now
        Aware; see `document`.
    previous
        Reports of the study that this one replaces.
    kind
        COMPREHENSIVE_3D, or one of its fallbacks COMPREHENSIVE and ENHANCED. Each has a series of its own.

    Raises
    ------
    GiveUp
        IDENTITY: the films are not all of one patient and study. RESULT: see `document`.
    """
    together = brought_together(films)
    return document(
        content(together, node),
        together,
        kind=kind,
        node=node,
        now=now,
        previous=previous,
        instance_number=instance_number,
    )


def content(films: Sequence[Film], node: Observer) -> ContentItem:
    """Return the content tree on films with safe headers. It holds no time, so it is the same whenever it is made."""
    groups = [group for film in films for group in groups_of(film, node)]
    return container(
        codes.IMAGING_MEASUREMENT_REPORT,
        *observation_context(node),
        image_library(films),
        container(codes.IMAGING_MEASUREMENTS, *groups),
        evaluations([film.reading for film in films], node.speaks),
        relationship=None,
        template="1500",
    )
