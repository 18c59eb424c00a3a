"""Measurement Groups of a film's named points: one for each point that the model sees (TID 1501).

A group names the point, the model, and its confidence as a NUM. The place is its child, an SCOORD of type POINT.
"""

from collections.abc import Iterator

from cxr_node.domain.reading import NamedPoint, Prediction, Presence
from cxr_node.report import codes
from cxr_node.report.pictures.outlines import bounds, fitted
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.algorithm import identified
from cxr_node.report.sr.content import ContentItem, Relationship, code, number, point
from cxr_node.report.sr.measurement_groups import Wrap

_MODIFIER = Relationship.HAS_CONCEPT_MOD


def point_groups(film: ReportedFilm, group: Wrap) -> Iterator[ContentItem]:
    """Yield the groups of the visible points of a film."""
    prediction = film.reading.prediction
    if prediction is None:
        return
    for named in prediction.visible_points:
        yield group(named.code.meaning, f"points/{named.key}", _rows(film, prediction, named))


def _rows(film: ReportedFilm, prediction: Prediction, named: NamedPoint) -> list[ContentItem]:
    (at,) = fitted([named.at], bounds(film))
    place = point(codes.IMAGE_REGION, at, film.reading.film, Relationship.INFERRED_FROM)
    confidence = round(named.confidence * 100, 1)
    return [
        *_name(named),
        *identified(prediction.model_of(named), _MODIFIER, calibrated=False),
        number(codes.CERTAINTY_OF_FINDING, confidence, codes.PERCENT, Relationship.CONTAINS, place),
        code(codes.PRESENCE_OF_PROPERTY, codes.PRESENCES[Presence.PRESENT]),
    ]


def _name(named: NamedPoint) -> list[ContentItem]:
    name = code(codes.FINDING, named.code)
    if named.laterality is None:
        return [name]
    side = code(codes.LATERALITY, codes.LATERALITIES[named.laterality], _MODIFIER)
    return [name, code(codes.FINDING_SITE, named.code, _MODIFIER, side)]
