"""Measurement Groups of a film's measurements and observations: one for each place or topic (TID 1501).

A NUM has no child but its caliper (Image Region, 111030): measurements of one part on one side share a group that
names both. That of a structure with a segment has the segment's tracking. Observations of a topic share a group, each
CODE with its side and place. How a value was measured, and details of an observation, are comments in English: a
document in another language is without them.
"""

from collections.abc import Callable, Iterator, Sequence

from cxr_node.domain.codes import Code
from cxr_node.domain.concepts import CARDIOTHORACIC_RATIO
from cxr_node.domain.reading import Laterality, Measurement, Observation, Point, Topic
from cxr_node.domain.stated_numbers import ratio_digits
from cxr_node.report import codes
from cxr_node.report.languages.language import Language
from cxr_node.report.pictures.outlines import bounds, closed, fitted
from cxr_node.report.segments import structure_key, structure_label
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.content import ContentItem, Relationship, code, number, polyline, text

Wrap = Callable[[str, str, Sequence[ContentItem]], ContentItem]
"""Makes a group from a label, a key for its tracking, and its rows."""

_MODIFIER = Relationship.HAS_CONCEPT_MOD
_Place = tuple[Code | None, Laterality | None]
_POINTS = 60
"""Maximum points of a line or outline: a report is no segmentation."""
_TEXT = 200


def measurement_groups(film: ReportedFilm, group: Wrap, language: Language) -> Iterator[ContentItem]:
    """Yield the groups of a film's measurements and observations."""
    places: dict[_Place, list[Measurement]] = {}
    for measurement in film.reading.measurements:
        site = codes.HEART if measurement.site is None and measurement.key in codes.MEASUREMENTS else measurement.site
        places.setdefault((site, measurement.laterality), []).append(measurement)
    for (site, side), measurements in places.items():
        comments = _provenance(measurements) if language.is_english else []
        rows = [*site_rows(site, side), *(measured(film, one) for one in measurements), *comments]
        yield group(*tracked_place(site, side), rows)
    for topic in Topic:
        rows = [_observation(film, one, language) for one in film.reading.observations if one.topic is topic]
        if rows:
            yield group(f"Observations, {topic}", f"observations/{topic}", rows)


def tracked_place(site: Code | None, side: Laterality | None) -> tuple[str, str]:
    """Return label and key of the tracking of what is measured at a place: those of the segment, if there is one."""
    structure = structure_key(site, side)
    if structure is not None:
        return structure_label(structure), structure
    if site is None:
        return "Film, measurements", "measurements"
    if side is None:
        return site.meaning, f"measurements/{site.value}"
    return f"{codes.LATERALITIES[side].meaning} {site.meaning}", f"measurements/{site.value}/{side}"


def site_rows(site: Code | None, side: Laterality | None) -> list[ContentItem]:
    """Return the rows on the place of a group: Finding Site with its side; none without a site."""
    if site is None:
        return []
    side = codes.side_of(site, side)
    sides = [] if side is None else [code(codes.LATERALITY, codes.LATERALITIES[side], _MODIFIER)]
    return [code(codes.FINDING_SITE, site, _MODIFIER, *sides)]


def _provenance(measurements: Sequence[Measurement]) -> list[ContentItem]:
    """Return the provenance of the measurements in one comment: a NUM may have no child for it."""
    lines = dict.fromkeys(f"{one.code.meaning}: {one.provenance}" for one in measurements if one.provenance)
    return [text(codes.COMMENT, "; ".join(lines))] if lines else []


def measured(film: ReportedFilm, measurement: Measurement) -> ContentItem:
    """Return a measurement with its caliper, if it has one."""
    line = fitted(_thinned(measurement.line), bounds(film))
    caliper = [polyline(codes.IMAGE_REGION, line, film.reading.film, Relationship.INFERRED_FROM)] if line[1:] else []
    is_ratio = measurement.code == CARDIOTHORACIC_RATIO  # with the digits with which every kind states it
    value = round(measurement.value, ratio_digits(film.reading)) if is_ratio else measurement.value
    return number(measurement.code, value, measurement.unit, Relationship.CONTAINS, *caliper)


def _observation(film: ReportedFilm, observation: Observation, language: Language) -> ContentItem:
    """Return a CODE with its side, lobe, reason, and place on the film."""
    children = []
    side = codes.side_of(observation.value, observation.laterality)
    if side is not None:
        children.append(code(codes.LATERALITY, codes.LATERALITIES[side], _MODIFIER))
    if observation.site is not None:
        children.append(code(codes.FINDING_SITE, observation.site, _MODIFIER))
    if observation.detail and language.is_english:
        children.append(text(codes.COMMENT, observation.detail[:_TEXT], Relationship.HAS_PROPERTIES))
    place = _place(film, observation)
    if len(place) > 1:
        children.append(polyline(codes.IMAGE_REGION, place, film.reading.film, Relationship.INFERRED_FROM))
    return code(observation.code, observation.value, Relationship.CONTAINS, *children)


def _place(film: ReportedFilm, observation: Observation) -> Sequence[Point]:
    if observation.line:
        return fitted(_thinned(observation.line), bounds(film))
    outlines = [closed(_thinned(region.outline), bounds(film)) for region in observation.regions]
    return max(outlines, key=len, default=())


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Return at most 60 points of a line, evenly, with both ends."""
    if len(points) <= _POINTS:
        return points
    return [points[round(k * (len(points) - 1) / (_POINTS - 1))] for k in range(_POINTS)]
