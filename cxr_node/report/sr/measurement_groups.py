"""Measurement Groups of what was measured and observed on a film: one for each topic and place (TID 1501).

A side cannot be said of a NUM itself, which may have no child but its SCOORD (see `groups`), so measurements of one
part on one side share a group that names both. Observations of a topic share one, each CODE with its side and place.
"""

from collections.abc import Callable, Iterator, Sequence

from cxr_node.domain.codes import Code
from cxr_node.domain.reading import Laterality, Measurement, Observation, Point, Topic
from cxr_node.report import codes
from cxr_node.report.pictures.outlines import analysed, bounds, closed, fitted
from cxr_node.report.source import Film
from cxr_node.report.sr.content import ContentItem, Relationship, code, number, polyline, text

Wrap = Callable[[str, str, Sequence[ContentItem]], ContentItem]
"""Makes a group of a label, a key for its tracking, and its rows."""

_MODIFIER = Relationship.HAS_CONCEPT_MOD
_Place = tuple[Topic, Code | None, Laterality | None]
_POINTS = 60
"""At most so many points of a line or outline: a report is no segmentation."""
_TEXT = 200


def groups_of(film: Film, group: Wrap) -> Iterator[ContentItem]:
    """Yield the groups of a film's measurements and observations."""
    places: dict[_Place, list[Measurement]] = {}
    for one in film.reading.measurements:
        site = codes.HEART if one.site is None and one.key in codes.MEASUREMENTS else one.site
        places.setdefault((one.topic, site, one.laterality), []).append(one)
    for (topic, site, side), taken in places.items():
        head = [*_where(site, side), *(_number(film, one) for one in taken), *_how(taken)]
        parts = (str(topic), "" if site is None else site.value, "" if side is None else str(side))
        label = "Measurements" if topic is Topic.PROPORTIONS else str(topic).capitalize()
        name = [] if site is None else [f", {site.meaning}" if side is None else f", {side} {site.meaning}"]
        yield group("".join([label, *name]), "measurements/" + "/".join(parts), head)
    for topic in Topic:
        said = [one for one in film.reading.observations if one.topic is topic]
        if said:
            rows = [_said(film, one) for one in said]
            yield group(f"Observations, {topic}", f"observations/{topic}", rows)


def _where(site: Code | None, side: Laterality | None) -> list[ContentItem]:
    if site is None:
        return []
    sides = [] if side is None else [code(codes.LATERALITY, codes.LATERALITIES[side], _MODIFIER)]
    return [code(codes.FINDING, site), code(codes.FINDING_SITE, site, _MODIFIER, *sides)]


def _how(taken: Sequence[Measurement]) -> list[ContentItem]:
    """Return how each was measured in one comment: a NUM may have no child that says so."""
    ways = dict.fromkeys(f"{one.code.meaning}: {one.provenance}" for one in taken if one.provenance)
    return [text(codes.COMMENT, "; ".join(ways))] if ways else []


def _number(film: Film, one: Measurement) -> ContentItem:
    line = fitted(_thinned(one.line), bounds(film))
    if len(line) < 2:
        line = analysed(film)
    caliper = polyline(codes.SOURCE, line, film.reading.film, Relationship.INFERRED_FROM)
    return number(one.code, one.value, one.unit, Relationship.CONTAINS, caliper)


def _said(film: Film, one: Observation) -> ContentItem:
    """Return a CODE with its side, the lobe it points to, its place on the film, and why."""
    children = []
    if one.laterality is not None:
        children.append(code(codes.LATERALITY, codes.LATERALITIES[one.laterality], _MODIFIER))
    if one.site is not None:
        children.append(code(codes.FINDING_SITE, one.site, _MODIFIER))
    if one.detail:
        children.append(text(codes.COMMENT, one.detail[:_TEXT], Relationship.HAS_PROPERTIES))
    place = _place(film, one)
    if len(place) > 1:
        children.append(polyline(codes.SOURCE, place, film.reading.film, Relationship.INFERRED_FROM))
    return code(one.code, one.value, Relationship.CONTAINS, *children)


def _place(film: Film, one: Observation) -> Sequence[Point]:
    if one.line:
        return fitted(_thinned(one.line), bounds(film))
    outlines = [closed(_thinned(region.outline), bounds(film)) for region in one.regions]
    return max(outlines, key=len, default=())


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Return at most 60 points of a line, evenly, with both ends."""
    if len(points) <= _POINTS:
        return points
    return [points[round(k * (len(points) - 1) / (_POINTS - 1))] for k in range(_POINTS)]
