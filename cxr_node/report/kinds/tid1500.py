"""Imaging Measurement Report (TID 1500), the default result: one per study, in three SOP Classes.

IHE AI Results asks for Comprehensive 3D SR. The tree needs no third dimension, so archives that know only Comprehensive
or Enhanced SR get the same tree in those.
"""

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from cxr_node.report import codes
from cxr_node.report.kinds.kind import document_kind
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.content import ContentItem, container
from cxr_node.report.sr.context import observation_context
from cxr_node.report.sr.document import sr_type
from cxr_node.report.sr.groups import film_groups
from cxr_node.report.sr.library import image_library
from cxr_node.report.sr.rules import absent_concepts, caution_faults
from cxr_node.report.sr.tree import children_of, items, meaning_of, name_of
from cxr_node.report.summary import evaluations

_ROOT_PROMISES = (
    codes.LANGUAGE,
    codes.OBSERVER_TYPE,
    codes.DEVICE_OBSERVER_UID,
    codes.PROCEDURE_REPORTED,
    codes.IMAGE_LIBRARY,
    codes.IMAGING_MEASUREMENTS,
    codes.QUALITATIVE_EVALUATIONS,
)
_GROUP_PROMISES = (codes.TRACKING_IDENTIFIER, codes.TRACKING_UNIQUE_IDENTIFIER)
_FINDING_PROMISES = (codes.FINDING, codes.ALGORITHM_NAME, codes.PRESENCE_OF_PROPERTY)
_SUMMARY_PROMISES = (codes.FINDINGS_SUMMARY, codes.SUMMARY, codes.COMMENT)


def content(films: Sequence[ReportedFilm], observer: Observer) -> ContentItem:
    """Return the content tree on films with safe headers. It holds no time, so equal films give an equal tree."""
    groups = [group for film in films for group in film_groups(film, observer)]
    return container(
        codes.IMAGING_MEASUREMENT_REPORT,
        *observation_context(observer),
        image_library(films),
        container(codes.IMAGING_MEASUREMENTS, *groups),
        evaluations(films, observer.language),
        relationship=None,
        template="1500",
    )


def report_faults(document: Dataset, films: Sequence[ReportedFilm]) -> Iterator[str]:
    """Yield a sentence for each promised row of TID 1500 that is absent or that OHIF cannot open."""
    parts = {name_of(part): part for part in children_of(document)}
    absent = list(absent_concepts(_ROOT_PROMISES, parts))
    yield from absent
    if absent:
        return
    library = [item for _, item in items(parts[codes.IMAGE_LIBRARY.value]) if item.ValueType == "IMAGE"]
    if len(library) != len(films):
        yield "the image library does not list every film once"
    yield from _group_faults(children_of(parts[codes.IMAGING_MEASUREMENTS.value]), films)
    evaluated = {name_of(row) for row in children_of(parts[codes.QUALITATIVE_EVALUATIONS.value])}
    yield from absent_concepts(_SUMMARY_PROMISES, evaluated)


def _group_faults(groups: Sequence[Dataset], films: Sequence[ReportedFilm]) -> Iterator[str]:
    if len(groups) < len(films):
        yield "a film has no measurement group"
    trackers = [str(row.UID) for group in groups for row in children_of(group) if row.ValueType == "UIDREF"]
    if len(set(trackers)) != len(groups):
        yield "tracking unique identifiers are not one per group"
    for group in groups:
        rows = children_of(group)
        names = {name_of(row) for row in rows}
        yield from absent_concepts(_GROUP_PROMISES, names)
        if codes.CERTAINTY_OF_FINDING.value in names:
            yield from absent_concepts(_FINDING_PROMISES, names)
        if codes.IMAGE_REGION.value not in names:
            yield from _ohif_faults(rows)


def _ohif_faults(rows: Sequence[Dataset]) -> Iterator[str]:
    for row in rows:
        if row.ValueType == "NUM" and [child.ValueType for child in children_of(row)] != ["SCOORD"]:
            yield f"{meaning_of(row)} has not exactly one SCOORD, so OHIF cannot open the report"
    if not any(row.ValueType in ("NUM", "SCOORD") for row in rows):
        yield "a group has no coordinates, so OHIF cannot open the report"


def _form(name: str, sop_class_uid: UID) -> ResultType:
    return sr_type(
        name=name,
        sop_class_uid=sop_class_uid,
        series_offset=0,
        series_description="AI CXR findings - RESEARCH",
        content_rules=(caution_faults, report_faults),
    )


REPORT = document_kind("report", _form("TID1500", Comprehensive3DSRStorage), content)
REPORT_COMPREHENSIVE = document_kind(
    "report-comprehensive", _form("TID1500/COMPREHENSIVE", ComprehensiveSRStorage), content
)
REPORT_ENHANCED = document_kind("report-enhanced", _form("TID1500/ENHANCED", EnhancedSRStorage), content)
