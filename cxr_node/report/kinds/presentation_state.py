"""Grayscale Softcopy Presentation State (PS3.3 section A.33.1): outlines and calipers over the film, one per film.

Coordinates are those of the film's own pixels. A film that lies turned or mirrored by its header is shown as it hangs:
its state has the Spatial Transformation Module (PS3.3 section C.10.6).
"""

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from cxr_node.domain.concepts import OBSCURED
from cxr_node.domain.geometry import Orientation
from cxr_node.domain.hanging import orientation_of
from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.domain.instance import Instance
from cxr_node.domain.reading import Finding, Point, Prediction
from cxr_node.report import codes
from cxr_node.report.check import require_sound
from cxr_node.report.header.elements import item, keywords
from cxr_node.report.header.encoding import encoded
from cxr_node.report.header.header import header, identity_of
from cxr_node.report.header.part10 import instance_of
from cxr_node.report.header.references import instance_reference, series_item
from cxr_node.report.impression import named
from cxr_node.report.kinds.kind import film_kind
from cxr_node.report.languages.language import Language
from cxr_node.report.pictures import overlay
from cxr_node.report.pictures.grayscale import (
    modality_lut,
    pixel_aspect_ratio,
    presentation_lut_shape,
    softcopy_voi_lut,
)
from cxr_node.report.pictures.outlines import bounds, closed, fitted
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ComposeRequest, ReportedFilm
from cxr_node.report.study import collate
from cxr_node.report.summary import observed

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
)

_LAYER = "AI MARKS"
_COLOR_CIELAB = [46137, 45000, 49000]
"""Orange, as PCS-values (PS3.3 section C.10.7.1.1)."""


def compose_film(film: ReportedFilm, request: ComposeRequest, instance_number: int) -> Instance | None:
    """Return the presentation state of a film, or None where there is nothing to draw."""
    films = collate([film])
    language = request.observer.language
    graphics = _graphics(films[0], language)
    if not graphics:
        return None
    state = _state(films[0], graphics, language)
    identity = identity_of(films, _TYPE, request.observer, content=digest_of(encoded(state)))
    dataset = header(films, identity, _TYPE, request, instance_number)
    dataset.PresentationCreationDate, dataset.PresentationCreationTime = dataset.ContentDate, dataset.ContentTime
    dataset.BodyPartExamined = "CHEST"  # of a paired part Laterality would be required (PS3.3 C.7.3.1)
    del dataset.ContentDate, dataset.ContentTime  # no attributes of this IOD
    dataset.update(state)
    require_sound(dataset, films, _TYPE)
    return instance_of(encoded(dataset), identity)


def _state(film: ReportedFilm, graphics: Sequence[Dataset], language: Language) -> Dataset:
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
    state.GraphicAnnotationSequence = [_annotation(graphics, language)]
    state.GraphicLayerSequence = [_layer()]
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


def _layer() -> Dataset:
    return item(
        GraphicLayer=_LAYER,
        GraphicLayerOrder=1,
        GraphicLayerRecommendedDisplayCIELabValue=_COLOR_CIELAB,
        GraphicLayerDescription="Computer analysis",
    )


def _annotation(graphics: Sequence[Dataset], language: Language) -> Dataset:
    texts = [graphic for graphic in graphics if "GraphicType" not in graphic]
    return item(
        GraphicLayer=_LAYER,
        GraphicObjectSequence=[graphic for graphic in graphics if "GraphicType" in graphic],
        TextObjectSequence=[*texts, _caution(language)],
    )


def _graphics(film: ReportedFilm, language: Language) -> list[Dataset]:
    """Return a polyline and a label for each region and caliper on the film, a mark and a label for each point."""
    reading = film.reading
    graphics: list[Dataset] = []
    if reading.prediction is not None:
        graphics.extend(_of_models(film, reading.prediction, language))
    for measurement in reading.measurements:
        if measurement.key in codes.MEASUREMENTS or measurement.key in overlay.CALIPERS:
            label = f"{measurement.key} {language.number(measurement.value, '.4g')}"
            graphics.extend(_polyline(fitted(measurement.line, bounds(film)), label))
    for observation in reading.observations:
        if observation.code == OBSCURED:
            graphics.extend(_polyline(fitted(observation.line, bounds(film)), observed(observation, language)))
    return graphics


def _of_models(film: ReportedFilm, prediction: Prediction, language: Language) -> Iterator[Dataset]:
    """Yield the graphics of findings and points."""
    for finding in prediction.findings:
        label = _label(prediction, finding, language)
        for region in finding.regions:
            yield from _polyline(closed(region.outline, bounds(film)), label)
    for point in prediction.visible_points:
        (at,) = fitted([point.at], bounds(film))
        model = f" [{named(prediction.model_of(point))}]" if prediction.steps else ""
        label = f"{language.meaning(point.code)} {language.number(point.confidence * 100, '.1f')}/100{model}"
        yield from _graphic("POINT", [at], label)


def _label(prediction: Prediction, finding: Finding, language: Language) -> str:
    score = language.number(finding.score * 100, ".1f")
    model = f" [{named(prediction.model_of(finding))}]" if prediction.steps else ""
    return f"{language.meaning(finding.code)} {language.terms.presences[finding.presence]} {score}/100{model}"


def _polyline(points: Sequence[Point], label: str) -> list[Dataset]:
    return [] if len(points) < 2 else _graphic("POLYLINE", points, label)


def _graphic(kind: str, points: Sequence[Point], label: str) -> list[Dataset]:
    """Return a graphic object and its text (PS3.3 section C.10.5)."""
    graphic = item(
        GraphicAnnotationUnits="PIXEL",
        GraphicDimensions=2,
        NumberOfGraphicPoints=len(points),
        GraphicData=[coordinate for point in points for coordinate in point],
        GraphicType=kind,
        GraphicFilled="N",
    )
    text = item(
        UnformattedTextValue=label,
        AnchorPointAnnotationUnits="PIXEL",
        AnchorPoint=list(points[0]),
        AnchorPointVisibility="N",
    )
    return [graphic, text]


def _caution(language: Language) -> Dataset:
    return item(
        UnformattedTextValue=language.phrases.caution,
        BoundingBoxAnnotationUnits="DISPLAY",
        BoundingBoxTopLeftHandCorner=[0.02, 0.94],
        BoundingBoxBottomRightHandCorner=[0.98, 0.99],
        BoundingBoxTextHorizontalJustification="LEFT",
    )


PRESENTATION_STATE = film_kind("presentation-state", _TYPE, compose_film)
