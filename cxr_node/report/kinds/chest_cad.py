"""What was found and where, for workstations that show marks of chest CAD: a Chest CAD Report (TID 4100).

The template has a place for opacities, nodules, masses and pneumothorax, each with a center on the film (TID 4104,
4107), and none for words, for measurements, or for why a film was not analysed: those are in the report. Marked is what
is present or undetermined and lies somewhere; what was looked for stands under Detection Performed. There is no Image
Library, which is optional here: its entries would be referred to by reference, which few readers follow.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydicom.uid import ChestCADSRStorage

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance
from cxr_node.domain.reading import Finding, Point, Prediction, Presence
from cxr_node.report import codes
from cxr_node.report.header.header import ResultType
from cxr_node.report.header.uids import tracking_uid
from cxr_node.report.pictures.outlines import bounds, closed, middle
from cxr_node.report.source import Film, Observer, PreviousReport
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
from cxr_node.report.sr.document import document
from cxr_node.report.study import brought_together
from cxr_node.report.summary import outcome

CHEST_CAD = ResultType(
    name="TID4100",
    sop_class_uid=Uid(ChestCADSRStorage),
    modality="SR",
    series_offset=1,
    series_description="AI CXR CAD - RESEARCH",
)

_CONTEXT = Relationship.HAS_OBS_CONTEXT
_INFERRED = Relationship.INFERRED_FROM
_MODIFIER = Relationship.HAS_CONCEPT_MOD
_PROPERTY = Relationship.HAS_PROPERTIES
_INTENTS = {
    Presence.PRESENT: codes.PRESENTATION_REQUIRED,
    Presence.UNDETERMINED: codes.PRESENTATION_OPTIONAL,
}


def compose(
    films: Sequence[Film],
    *,
    node: Observer,
    now: datetime,
    previous: Sequence[PreviousReport] = (),
    instance_number: int = 1,
) -> Instance:
    """Return the marks on all films of a study; parameters and errors as of `tid1500.compose`."""
    together = brought_together(films)
    return document(
        content(together, node),
        together,
        kind=CHEST_CAD,
        node=node,
        now=now,
        previous=previous,
        instance_number=instance_number,
    )


def content(films: Sequence[Film], node: Observer) -> ContentItem:
    """Return the content tree on films with safe headers."""
    found = [item for film in films for item in _single_image_findings(film, node)]
    performed = [item for film in films for item in _performed(film, node)]
    detections = [container(codes.SUCCESSFUL_DETECTIONS, *performed, relationship=_INFERRED)] if performed else []
    return container(
        codes.CHEST_CAD_REPORT,
        code(codes.LANGUAGE, node.speaks.code, _MODIFIER),
        code(codes.FINDINGS_SUMMARY, outcome([film.reading for film in films]), Relationship.CONTAINS, *found),
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


def _looked_for(film: Film) -> Iterator[tuple[Prediction, Finding]]:
    prediction = film.reading.prediction
    if prediction is not None:
        yield from ((prediction, each) for each in prediction.findings if each.code in codes.MARKED_BY_CAD)


def _performed(film: Film, node: Observer) -> Iterator[ContentItem]:
    """Yield what was looked for on a film (TID 4017), absent or not."""
    for prediction, finding in _looked_for(film):
        said_by = identification(film, prediction, finding, _PROPERTY, node.speaks.sentences.caution)
        source = image(None, film.reading.film, _PROPERTY)
        yield code(codes.DETECTION_PERFORMED, finding.code, Relationship.CONTAINS, *said_by, source)


def _single_image_findings(film: Film, node: Observer) -> Iterator[ContentItem]:
    """Yield each region of what is not absent (TID 4104)."""
    for prediction, finding in _looked_for(film):
        if finding.presence not in _INTENTS:
            continue
        outlines = [outline for region in finding.regions if (outline := closed(region.outline, bounds(film)))]
        for ordinal, outline in enumerate(outlines, start=1):
            # The same tracking as in the report: there one region is the finding itself.
            key = finding.key if len(outlines) == 1 else f"{finding.key}/{ordinal}"
            yield code(
                codes.SINGLE_IMAGE_FINDING,
                codes.MARKED_BY_CAD[finding.code],
                _INFERRED,
                code(codes.SINGLE_IMAGE_FINDING_MODIFIER, finding.code, _MODIFIER),
                code(codes.RENDERING_INTENT, _INTENTS[finding.presence], _MODIFIER),
                text(codes.TRACKING_IDENTIFIER, f"{node.model_name} {finding.code.meaning}", _CONTEXT),
                uid_reference(
                    codes.TRACKING_UNIQUE_IDENTIFIER, tracking_uid(film.reading.film.sop_instance_uid, key), _CONTEXT
                ),
                *identification(film, prediction, finding, _CONTEXT, node.speaks.sentences.caution),
                number(codes.CERTAINTY_OF_FINDING, round(finding.score * 100, 1), codes.PERCENT, _PROPERTY),
                *_geometry(film, outline),
            )


def _geometry(film: Film, outline: Sequence[Point]) -> list[ContentItem]:
    """Return center and outline of a region (TID 4107)."""
    return [
        point(codes.CENTER, middle(outline), film.reading.film, _PROPERTY, name_of_image=None),
        polyline(codes.OUTLINE, outline, film.reading.film, _PROPERTY, name_of_image=None),
    ]
