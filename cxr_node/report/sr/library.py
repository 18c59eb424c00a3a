"""Image Library: the films of a report (TID 1600, 1601, 1604)."""

from collections.abc import Sequence

from cxr_node.domain.codes import Code
from cxr_node.domain.radiograph import Geometry
from cxr_node.report import codes
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.content import ContentItem, Relationship, code, container, image, number, text

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
    rows, columns = film.header.get("Rows"), film.header.get("Columns")
    if isinstance(rows, int) and isinstance(columns, int) and rows and columns:
        items.append(number(codes.PIXEL_DATA_ROWS, rows, codes.PIXELS, _CONTEXT))
        items.append(number(codes.PIXEL_DATA_COLUMNS, columns, codes.PIXELS, _CONTEXT))
    return items


def _geometry(geometry: Geometry | None) -> list[ContentItem]:
    if geometry is None:
        return []
    items: list[ContentItem] = []
    if geometry.view in codes.VIEWS:
        items.append(code(codes.IMAGE_VIEW, codes.VIEWS[geometry.view], _CONTEXT))
    if geometry.patient_orientation is not None:
        row, column = geometry.patient_orientation
        items.append(text(codes.PATIENT_ORIENTATION_ROW, row, _CONTEXT))
        items.append(text(codes.PATIENT_ORIENTATION_COLUMN, column, _CONTEXT))
    if geometry.spacing is not None:
        items.append(_millimeters(codes.HORIZONTAL_PIXEL_SPACING, geometry.spacing.column_mm))
        items.append(_millimeters(codes.VERTICAL_PIXEL_SPACING, geometry.spacing.row_mm))
    return items


def _millimeters(name: Code, value: float) -> ContentItem:
    return number(name, round(value, 6), codes.MILLIMETER, _CONTEXT)
