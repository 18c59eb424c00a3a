"""Image Library: the films of a report (TID 1600, 1602, 1603). Size, spacing and orientation are in the films."""

from collections.abc import Sequence

from cxr_node.domain.film_geometry import Geometry
from cxr_node.report import codes
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.content import ContentItem, Relationship, code, container, date, image, time
from cxr_node.report.study import acquired_at

_CONTEXT = Relationship.HAS_ACQ_CONTEXT


def image_library(films: Sequence[ReportedFilm]) -> ContentItem:
    """Return the container that lists every film of the report; the films have safe headers."""
    entries = [
        image(
            codes.SOURCE,
            film.reading.film,
            Relationship.CONTAINS,
            *_acquisition(film),
            *_geometry(film.reading.geometry),
        )
        for film in films
    ]
    return container(codes.IMAGE_LIBRARY, container(codes.IMAGE_LIBRARY_GROUP, *entries), template="1600")


def _acquisition(film: ReportedFilm) -> list[ContentItem]:
    # A damaged film may have any value here, or several.
    modality = codes.MODALITIES.get(str(film.header.Modality), codes.MODALITIES["OT"])
    items = [code(codes.MODALITY, modality, _CONTEXT), code(codes.TARGET_REGION, codes.CHEST, _CONTEXT)]
    acquired = acquired_at(film)
    if acquired is not None and acquired[0]:
        items.append(date(codes.ACQUISITION_DATE, acquired[0], _CONTEXT))
    if acquired is not None and acquired[1]:
        items.append(time(codes.ACQUISITION_TIME, acquired[1], _CONTEXT))
    return items


def _geometry(geometry: Geometry | None) -> list[ContentItem]:
    if geometry is None or geometry.view not in codes.VIEWS:
        return []
    return [code(codes.IMAGE_VIEW, codes.VIEWS[geometry.view], _CONTEXT)]
