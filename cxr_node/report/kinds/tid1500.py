"""Imaging Measurement Report (TID 1500), one per study: the default result, and one of all measurements.

IHE AI Results asks for Comprehensive 3D SR. The tree needs no third dimension, so archives that know only Comprehensive
or Enhanced SR get the same tree in those. The impression stands at the head of the tree, where a reader sees it first;
references to the other results of the run follow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydicom.dataset import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from cxr_node.domain.codes import Code
from cxr_node.report import codes
from cxr_node.report.impression import impression_of
from cxr_node.report.kinds.kind import referring_kind
from cxr_node.report.kinds.segmentation import segment_numbers
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import Observer, ReferredResult, ReportedFilm
from cxr_node.report.sr.content import ContentItem, code, container, text
from cxr_node.report.sr.context import language_of, observer_context, procedures_reported
from cxr_node.report.sr.document import sr_type
from cxr_node.report.sr.drawn_groups import drawn_groups
from cxr_node.report.sr.groups import WHOLE_IMAGE, FilmGroups, SegmentReference, measurement_group
from cxr_node.report.sr.library import image_library
from cxr_node.report.sr.measurement_groups import measurement_groups
from cxr_node.report.sr.prior_groups import prior_measurements, prior_ratios
from cxr_node.report.sr.references import references
from cxr_node.report.sr.rules import absent_concepts, caution_faults
from cxr_node.report.sr.tree import children_of, items, name_of

_ROOT_PROMISES = (
    codes.LANGUAGE,
    codes.SUMMARY,
    codes.OBSERVER_TYPE,
    codes.DEVICE_OBSERVER_UID,
    codes.PROCEDURE_REPORTED,
    codes.IMAGE_LIBRARY,
    codes.IMAGING_MEASUREMENTS,
    codes.QUALITATIVE_EVALUATIONS,
)
_GROUP_PROMISES = (
    codes.TRACKING_IDENTIFIER,
    codes.TRACKING_UNIQUE_IDENTIFIER,
    codes.ALGORITHM_NAME,
    codes.ALGORITHM_VERSION,
)
_FINDING_PROMISES = (codes.FINDING, codes.THRESHOLD, codes.PRESENCE_OF_PROPERTY)
_PLACES = {codes.IMAGE_REGION.value, codes.SOURCE_OF_MEASUREMENT.value}
_SUMMARY_PROMISES = (codes.FINDINGS_SUMMARY, codes.COMMENT)

_Results = Sequence[ReferredResult]


def content(films: Sequence[ReportedFilm], observer: Observer, results: _Results = ()) -> ContentItem:
    """Return the content tree on films with safe headers. It holds no time, so equal films give an equal tree."""
    groups = [group for film in films for group in FilmGroups(film=film, observer=observer).all()]
    return _tree(films, observer, [*groups, *prior_ratios(films, observer, _on_film)], results)


def content_for_ohif(films: Sequence[ReportedFilm], observer: Observer, results: _Results = ()) -> ContentItem:
    """Return the tree with those groups only that have coordinates, in the form that OHIF draws."""
    groups = [group for film in films for group in drawn_groups(FilmGroups(film=film, observer=observer))]
    return _tree(films, observer, groups, results)


def content_of_measurements(films: Sequence[ReportedFilm], observer: Observer, results: _Results = ()) -> ContentItem:
    """Return the tree of all measurements and observations, without findings, which refers to segments."""
    segments = _segments(results)
    makers = [FilmGroups(film=film, observer=observer, segments=segments) for film in films]
    groups = [[*measurement_groups(one.film, one.group, observer.language), one.film_itself()] for one in makers]
    priors = prior_measurements(films, observer, _on_film)
    return _tree(films, observer, [*(group for of_film in groups for group in of_film), *priors], ())


def _on_film(rows: Sequence[ContentItem]) -> ContentItem:
    return measurement_group(WHOLE_IMAGE, rows)


def _segments(results: _Results) -> dict[str, SegmentReference]:
    """Return the segments of a run by Tracking UID."""
    segmentations = [result.instance for result in results if result.name == codes.SEGMENTATION_OBJECT]
    return {
        tracking_uid: (result.identity, number)
        for result in segmentations
        for tracking_uid, number in segment_numbers(result).items()
    }


def _tree(
    films: Sequence[ReportedFilm], observer: Observer, groups: Sequence[ContentItem], results: _Results
) -> ContentItem:
    impression = impression_of(films, observer.language)
    evaluations = container(
        codes.QUALITATIVE_EVALUATIONS,
        code(codes.FINDINGS_SUMMARY, impression.outcome),
        text(codes.COMMENT, impression.notice),
    )
    return container(
        codes.IMAGING_MEASUREMENT_REPORT,
        language_of(observer),
        text(codes.SUMMARY, impression.text),
        *references(results),
        *observer_context(observer),
        *procedures_reported(films),
        image_library(films),
        container(codes.IMAGING_MEASUREMENTS, *groups),
        evaluations,
        relationship=None,
        template="1500",
    )


def report_faults(document: Dataset, films: Sequence[ReportedFilm]) -> Iterator[str]:
    """Yield a sentence for each promised row of TID 1500 that is absent."""
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
        if codes.SCORE.value in names:
            yield from absent_concepts(_FINDING_PROMISES, names)
        if names.isdisjoint(_PLACES):
            yield "a group does not refer to its film"


def ohif_faults(document: Dataset, _films: Sequence[ReportedFilm]) -> Iterator[str]:
    """Yield a sentence for each group that OHIF's loader cannot open."""
    for _, group in items(document):
        if name_of(group) != codes.MEASUREMENT_GROUP.value:
            continue
        numbers = [row for row in children_of(group) if row.ValueType == "NUM"]
        below = [child.ValueType for number in numbers for child in children_of(number)]
        if "SCOORD" not in (*below, *(row.ValueType for row in children_of(group))):
            yield "a group has no coordinates, so OHIF cannot open the report"


def _form(
    name: str,
    sop_class_uid: UID,
    *,
    series_offset: int = 0,
    description: str = "findings",
    referred_as: Code | None = None,
) -> ResultType:
    return sr_type(
        name=name,
        sop_class_uid=sop_class_uid,
        series_offset=series_offset,
        series_description=f"AI CXR {description} - RESEARCH",
        content_rules=(caution_faults, report_faults),
        referred_as=referred_as,
    )


_MEASUREMENTS, _ROOT = 1, 2
"""Order of composing: the report is last, because it refers to all other results of the run."""

REPORT = referring_kind("report", _form("TID1500", Comprehensive3DSRStorage), content, order=_ROOT)
REPORT_COMPREHENSIVE = referring_kind(
    "report-comprehensive",
    _form("TID1500/COMPREHENSIVE", ComprehensiveSRStorage, series_offset=3),
    content,
    order=_ROOT,
)
REPORT_ENHANCED = referring_kind(
    "report-enhanced", _form("TID1500/ENHANCED", EnhancedSRStorage, series_offset=4), content, order=_ROOT
)
REPORT_MEASUREMENTS = referring_kind(
    "report-measurements",
    _form(
        "TID1500/MEASUREMENTS",
        Comprehensive3DSRStorage,
        series_offset=5,
        description="measurements",
        referred_as=codes.STRUCTURED_REPORT,
    ),
    content_of_measurements,
    order=_MEASUREMENTS,
)
REPORT_OHIF = referring_kind(
    "report-ohif",
    replace(
        _form("TID1500/OHIF", Comprehensive3DSRStorage, series_offset=6, description="regions"),
        content_rules=(caution_faults, report_faults, ohif_faults),
    ),
    content_for_ohif,
    order=_ROOT,
)
