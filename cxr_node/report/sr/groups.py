"""Measurement Groups of one film: one per finding or region, and one on image quality (TID 1501, 1410).

Every NUM outside a region group has exactly one child, an SCOORD. With none, with an IMAGE or with two, OHIF's report
loader fails on a film, which has no Frame of Reference, and the whole report does not open. The loader fails on a group
without coordinates too, so a group without a NUM has an SCOORD of its own.
"""

from collections.abc import Sequence

from cxr_node.domain import concepts
from cxr_node.domain.codes import Code
from cxr_node.domain.reading import Finding, Point, Prediction
from cxr_node.domain.reasons import Reason
from cxr_node.report import codes
from cxr_node.report.header.uids import tracking_uid
from cxr_node.report.impression import failure
from cxr_node.report.pictures.outlines import analysed, bounds, closed
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.algorithm import identification
from cxr_node.report.sr.content import (
    ContentItem,
    Relationship,
    code,
    container,
    image,
    number,
    polyline,
    text,
    uid_reference,
)
from cxr_node.report.sr.measurement_groups import measurement_groups
from cxr_node.report.sr.points import point_groups

_CONTEXT = Relationship.HAS_OBS_CONTEXT
_MODIFIER = Relationship.HAS_CONCEPT_MOD
_UNUSABLE = frozenset({Reason.QUALITY, Reason.DECODE, Reason.NO_PIXELS})
_WHOLE_IMAGE = "1501"
_PLANAR_REGION = "1410"


def film_groups(film: ReportedFilm, observer: Observer) -> list[ContentItem]:
    """Return all groups of one film; there is always the one on image quality and view."""
    groups: list[ContentItem] = []
    prediction = film.reading.prediction
    if prediction is not None:
        for finding in prediction.findings:
            groups.extend(_finding_groups(film, prediction, finding, observer))
    groups.extend(
        point_groups(film, lambda label, key, rows: _whole(film, [*_tracking(film, observer, label, key), *rows]))
    )
    groups.extend(
        measurement_groups(film, lambda label, key, rows: _whole(film, [*_tracking(film, observer, label, key), *rows]))
    )
    groups.append(_quality(film, observer))
    return groups


def _finding_groups(
    film: ReportedFilm, prediction: Prediction, finding: Finding, observer: Observer
) -> list[ContentItem]:
    outlines = [outline for region in finding.regions if (outline := closed(region.outline, bounds(film)))]
    head = [*_finding_and_site(finding), *identification(film, prediction, finding, _MODIFIER)]
    value = _score(finding)
    presence = code(codes.PRESENCE_OF_PROPERTY, codes.PRESENCES[finding.presence])
    tracked = _tracking(film, observer, finding.code.meaning, finding.key)
    if len(outlines) == 1:
        score = number(*value)
        return [_group(_PLANAR_REGION, [*tracked, *head, score, presence, *_region(film, outlines[0])])]
    area = polyline(codes.SOURCE, analysed(film, finding), film.reading.film, Relationship.INFERRED_FROM)
    score = number(*value, Relationship.CONTAINS, area)
    whole = _group(_WHOLE_IMAGE, [*tracked, *head, score, presence, _source(film)])
    return [whole, *_region_groups(film, prediction, finding, outlines, observer)]


def _score(finding: Finding) -> tuple[Code, float, Code]:
    """Return concept, value and unit of a finding's score."""
    if finding.key == concepts.CARDIOMEGALY_BY_RATIO:
        return concepts.CARDIOTHORACIC_RATIO, finding.score, concepts.RATIO
    return codes.CERTAINTY_OF_FINDING, round(finding.score * 100, 1), codes.PERCENT


def _region_groups(
    film: ReportedFilm,
    prediction: Prediction,
    finding: Finding,
    outlines: Sequence[Sequence[Point]],
    observer: Observer,
) -> list[ContentItem]:
    """Return a group for each of several regions, without the score, which is the film's."""
    groups = []
    for ordinal, outline in enumerate(outlines, start=1):
        tracked = _tracking(film, observer, f"{finding.code.meaning}, region {ordinal}", f"{finding.key}/{ordinal}")
        presence = code(codes.PRESENCE_OF_PROPERTY, codes.PRESENCES[finding.presence])
        head = [*_finding_and_site(finding), *identification(film, prediction, finding, _MODIFIER)]
        groups.append(_group(_PLANAR_REGION, [*tracked, *head, presence, *_region(film, outline)]))
    return groups


def _quality(film: ReportedFilm, observer: Observer) -> ContentItem:
    """Return the group on the film itself. Quality is asserted only where it prevented the analysis."""
    reading = film.reading
    items = [*_tracking(film, observer, "Image quality", "quality"), code(codes.FINDING, codes.IMAGE_QUALITY)]
    geometry = reading.geometry
    comments: list[str] = []
    if geometry is not None and geometry.view in codes.VIEWS:
        items.append(code(codes.IMAGE_VIEW, codes.VIEWS[geometry.view]))
        comments.append(f"View from {geometry.view_source.value}")
    if reading.not_analysed is not None:
        items.append(code(codes.NOT_PROCESSED, codes.not_processed(reading.not_analysed)))
        comments.append(reading.detail)
    if reading.prediction is not None:
        comments.extend(failure(step) for step in reading.prediction.failed_steps)
    if reading.not_analysed in _UNUSABLE:
        items.append(code(codes.QUALITY_ASSESSMENT, codes.UNUSABLE))
    items.extend(code(codes.PROCESSING_NOTE, codes.processing_note(note)) for note in reading.notes)
    comment = ". ".join(part for part in comments if part)
    if comment:
        items.append(text(codes.COMMENT, comment))
    return _whole(film, items)


def _whole(film: ReportedFilm, items: Sequence[ContentItem]) -> ContentItem:
    """Return a group on the analysed area of the film."""
    if any(item.ValueType == "NUM" for item in items):
        return _group(_WHOLE_IMAGE, [*items, _source(film)])
    area = polyline(codes.SOURCE, analysed(film), film.reading.film, Relationship.CONTAINS)
    return _group(_WHOLE_IMAGE, [*items, area, _source(film)])


def _group(template: str, items: Sequence[ContentItem]) -> ContentItem:
    return container(codes.MEASUREMENT_GROUP, *items, template=template)


def _tracking(film: ReportedFilm, observer: Observer, label: str, key: str) -> list[ContentItem]:
    uid = tracking_uid(film.reading.film.sop_instance_uid, key)
    return [
        text(codes.TRACKING_IDENTIFIER, f"{observer.model_name} {label}", _CONTEXT),
        uid_reference(codes.TRACKING_UNIQUE_IDENTIFIER, uid, _CONTEXT),
    ]


def _finding_and_site(finding: Finding) -> list[ContentItem]:
    items = [code(codes.FINDING, finding.code)]
    if finding.site is not None:
        sides = [] if finding.laterality is None else [codes.LATERALITIES[finding.laterality]]
        modifiers = (code(codes.LATERALITY, side, _MODIFIER) for side in sides)
        items.append(code(codes.FINDING_SITE, finding.site, _MODIFIER, *modifiers))
    return items


def _region(film: ReportedFilm, outline: Sequence[Point]) -> list[ContentItem]:
    return [
        code(codes.GEOMETRIC_PURPOSE, codes.BOUNDED_BY),
        polyline(codes.IMAGE_REGION, outline, film.reading.film, Relationship.CONTAINS),
    ]


def _source(film: ReportedFilm) -> ContentItem:
    return image(codes.SOURCE_OF_MEASUREMENT, film.reading.film)
