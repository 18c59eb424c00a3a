"""Chest CAD Report (TID 4100) for workstations that show CAD marks: one per study.

The template takes opacities, nodules, masses and pneumothorax, each with a center on the film (TID 4104, 4107). It has
no place for words, measurements or the reason why a film was not analysed: the report has those. A region of a present
or undetermined finding is marked; Detection Performed lists every target. The Image Library, optional here, is left
out: its entries would be linked by reference, which few readers follow.
"""

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import ChestCADSRStorage

from cxr_node.domain.reading import Finding, Point, Prediction, Presence
from cxr_node.domain.stated_numbers import stated_score
from cxr_node.report import codes
from cxr_node.report.header.uids import tracking_identifier, tracking_uid
from cxr_node.report.impression import impression_of
from cxr_node.report.kinds.kind import document_kind
from cxr_node.report.pictures.outlines import centroid
from cxr_node.report.segments import tracked_regions
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.algorithm import identification
from cxr_node.report.sr.content import (
    ContentItem,
    Relationship,
    code,
    container,
    image,
    number,
    point,
    polyline,
    text,
    uid_reference,
)
from cxr_node.report.sr.document import sr_type
from cxr_node.report.sr.rules import absent_concepts, caution_faults
from cxr_node.report.sr.tree import children_of, items, name_of

_CONTEXT = Relationship.HAS_OBS_CONTEXT
_INFERRED = Relationship.INFERRED_FROM
_MODIFIER = Relationship.HAS_CONCEPT_MOD
_PROPERTY = Relationship.HAS_PROPERTIES
_PROMISES = (codes.LANGUAGE, codes.FINDINGS_SUMMARY, codes.SUMMARY_OF_DETECTIONS, codes.SUMMARY_OF_ANALYSES)
_MARK_PROMISES = (codes.RENDERING_INTENT, codes.ALGORITHM_NAME, codes.CERTAINTY_OF_FINDING, codes.CENTER)
_INTENTS = {Presence.PRESENT: codes.PRESENTATION_REQUIRED, Presence.UNDETERMINED: codes.PRESENTATION_OPTIONAL}


def content(films: Sequence[ReportedFilm], observer: Observer) -> ContentItem:
    """Return the content tree on films with safe headers."""
    marks = [item for film in films for item in _single_image_findings(film, observer)]
    performed = [item for film in films for item in _performed(film, observer)]
    detections = [container(codes.SUCCESSFUL_DETECTIONS, *performed, relationship=_INFERRED)] if performed else []
    return container(
        codes.CHEST_CAD_REPORT,
        code(codes.LANGUAGE, observer.language.code, _MODIFIER),
        code(codes.FINDINGS_SUMMARY, impression_of(films).outcome, Relationship.CONTAINS, *marks),
        code(
            codes.SUMMARY_OF_DETECTIONS,
            codes.SUCCEEDED if performed else codes.NOT_ATTEMPTED,
            Relationship.CONTAINS,
            *detections,
        ),
        code(codes.SUMMARY_OF_ANALYSES, codes.NOT_ATTEMPTED),
        relationship=None,
        template="4100",
    )


def _targets(film: ReportedFilm) -> Iterator[tuple[Prediction, Finding]]:
    prediction = film.reading.prediction
    if prediction is not None:
        yield from ((prediction, finding) for finding in prediction.findings if finding.code in codes.MARKED_BY_CAD)


def _performed(film: ReportedFilm, observer: Observer) -> Iterator[ContentItem]:
    """Yield the targets of detection on a film (TID 4017), absent or not."""
    for prediction, finding in _targets(film):
        algorithm = identification(prediction, finding, _PROPERTY, observer.language.phrases.caution)
        source = image(None, film.reading.film, _PROPERTY)
        yield code(codes.DETECTION_PERFORMED, finding.code, Relationship.CONTAINS, *algorithm, source)


def _single_image_findings(film: ReportedFilm, observer: Observer) -> Iterator[ContentItem]:
    """Yield each region of the findings that are not absent (TID 4104)."""
    for prediction, finding in _targets(film):
        if finding.presence not in _INTENTS:
            continue
        for label, key, outline in tracked_regions(finding, film):
            yield code(
                codes.SINGLE_IMAGE_FINDING,
                codes.MARKED_BY_CAD[finding.code],
                _INFERRED,
                code(codes.SINGLE_IMAGE_FINDING_MODIFIER, finding.code, _MODIFIER),
                code(codes.RENDERING_INTENT, _INTENTS[finding.presence], _MODIFIER),
                text(codes.TRACKING_IDENTIFIER, tracking_identifier(observer, label), _CONTEXT),
                uid_reference(
                    codes.TRACKING_UNIQUE_IDENTIFIER, tracking_uid(film.reading.film.sop_instance_uid, key), _CONTEXT
                ),
                *identification(prediction, finding, _CONTEXT, observer.language.phrases.caution),
                number(codes.CERTAINTY_OF_FINDING, stated_score(finding).score, codes.PERCENT, _PROPERTY),
                *_geometry(film, outline),
            )


def _geometry(film: ReportedFilm, outline: Sequence[Point]) -> list[ContentItem]:
    """Return center and outline of a region (TID 4107)."""
    return [
        point(codes.CENTER, centroid(outline), film.reading.film, _PROPERTY, image_name=None),
        polyline(codes.OUTLINE, outline, film.reading.film, _PROPERTY, image_name=None),
    ]


def cad_faults(document: Dataset, films: Sequence[ReportedFilm]) -> Iterator[str]:
    """Yield a sentence for each promised row of TID 4100 that is absent; without an algorithm it has no words."""
    if any(name_of(item) == codes.ALGORITHM_NAME.value for _, item in items(document)):
        yield from caution_faults(document, films)
    parts = {name_of(part): part for part in children_of(document)}
    yield from absent_concepts(_PROMISES, parts)
    for item in children_of(parts[codes.FINDINGS_SUMMARY.value]) if codes.FINDINGS_SUMMARY.value in parts else ():
        yield from absent_concepts(_MARK_PROMISES, {name_of(row) for row in children_of(item)})


CHEST_CAD = document_kind(
    "chest-cad",
    sr_type(
        name="TID4100",
        sop_class_uid=ChestCADSRStorage,
        series_offset=1,
        series_description="AI CXR CAD - RESEARCH",
        content_rules=(cad_faults,),
        referred_as=codes.STRUCTURED_REPORT,
    ),
    content,
)
