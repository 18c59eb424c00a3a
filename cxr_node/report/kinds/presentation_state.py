"""Grayscale Softcopy Presentation State (PS3.3 section A.33.1): outlines and calipers over the film, one per film.

Coordinates are those of the film's own pixels. A film that lies turned or mirrored by its header is shown as it hangs:
its state has the Spatial Transformation Module (PS3.3 section C.10.6).
"""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from cxr_node.domain.geometry import Orientation
from cxr_node.domain.hanging import orientation_of
from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.domain.instance import Instance
from cxr_node.report import codes
from cxr_node.report.check import require_sound
from cxr_node.report.header.elements import item, keywords
from cxr_node.report.header.encoding import encoded
from cxr_node.report.header.header import header, identity_of
from cxr_node.report.header.part10 import instance_of
from cxr_node.report.header.references import instance_reference, series_item
from cxr_node.report.kinds.kind import film_kind
from cxr_node.report.languages.language import Language
from cxr_node.report.pictures.graphics import Layer, annotations, layers_of
from cxr_node.report.pictures.grayscale import (
    modality_lut,
    pixel_aspect_ratio,
    presentation_lut_shape,
    softcopy_voi_lut,
)
from cxr_node.report.pictures.outlines import bounds
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ComposeRequest, ReportedFilm
from cxr_node.report.study import collate

_TYPE = ResultType(
    name="PR",
    sop_class_uid=Uid(GrayscaleSoftcopyPresentationStateStorage),
    modality="PR",
    series_offset=19,
    series_description="AI CXR marks - RESEARCH",
    type_1=keywords("""
        ContentLabel PresentationCreationDate PresentationCreationTime ReferencedSeriesSequence
        DisplayedAreaSelectionSequence PresentationLUTShape GraphicAnnotationSequence GraphicLayerSequence
    """),  # PS3.3 C.11.9 to C.11.11
    type_2=("ContentDescription", "ContentCreatorName"),
    referred_as=codes.PRESENTATION_STATE,
)


def compose_film(film: ReportedFilm, request: ComposeRequest, instance_number: int) -> Instance | None:
    """Return the presentation state of a film, or None where there is nothing to draw."""
    films = collate([film])
    language = request.observer.language
    layers = [layer for layer in layers_of(films[0], language) if layer.graphics]
    if not layers:
        return None
    state = _state(films[0], layers, language)
    identity = identity_of(films, _TYPE, request.observer, content=digest_of(encoded(state)))
    dataset = header(films, identity, _TYPE, request, instance_number)
    dataset.PresentationCreationDate, dataset.PresentationCreationTime = dataset.ContentDate, dataset.ContentTime
    dataset.BodyPartExamined = "CHEST"  # of a paired part Laterality would be required (PS3.3 C.7.3.1)
    del dataset.ContentDate, dataset.ContentTime  # no attributes of this IOD
    dataset.update(state)
    require_sound(dataset, films, _TYPE)
    return instance_of(encoded(dataset), identity)


def _state(film: ReportedFilm, layers: Sequence[Layer], language: Language) -> Dataset:
    state = Dataset()
    state.ContentLabel = "AI_MARKS"
    state.ContentDescription = "Computer analysis, research use only"
    state.ContentCreatorName = "cxr-node^"
    state.ReferencedSeriesSequence = [_reference(film)]
    orientation = Orientation() if film.reading.geometry is None else orientation_of(film.reading.geometry)
    state.DisplayedAreaSelectionSequence = [_displayed_area(film, orientation)]
    if orientation != Orientation():
        state.ImageRotation, flipped = orientation.rotation_and_flip
        state.ImageHorizontalFlip = "Y" if flipped else "N"
    state.GraphicAnnotationSequence = annotations(layers, film, language, boxes=orientation == Orientation())
    state.GraphicLayerSequence = [layer.item(order) for order, layer in enumerate(layers, start=1)]
    state.update(modality_lut(film.header))
    state.update(softcopy_voi_lut(film.header))
    state.PresentationLUTShape = presentation_lut_shape(film.header)
    return state


def _reference(film: ReportedFilm) -> Dataset:
    source = film.reading.film
    references = [instance_reference(source.sop_class_uid, source.sop_instance_uid)]
    return series_item(source.series_instance_uid, ReferencedImageSequence=references)


def _displayed_area(film: ReportedFilm, orientation: Orientation) -> Dataset:
    """Return the whole film; its corners are those of the picture as it hangs, by their stored pixels (C.10.4)."""
    columns, rows = (int(side) for side in bounds(film))
    height, width = orientation.shape(rows, columns)
    centers = ((0.5, 0.5), (width - 0.5, height - 0.5))
    corners = orientation.inverse.of_points(centers, rows=height, columns=width)
    first, last = ([int(column) + 1, int(row) + 1] for column, row in corners)
    return item(
        DisplayedAreaTopLeftHandCorner=first,
        DisplayedAreaBottomRightHandCorner=last,
        PresentationSizeMode="SCALE TO FIT",
        PresentationPixelAspectRatio=pixel_aspect_ratio(film.header),
    )


PRESENTATION_STATE = film_kind("presentation-state", _TYPE, compose_film)
