"""Graphics of a presentation state in layers: one for each finding, anatomy, measurements, obscured borders. Pure.

Labels are words with units. Each has an anchor of its own, and a rectangle in which it overlaps no other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from pydicom.dataset import Dataset

from cxr_node.domain.concepts import OBSCURED
from cxr_node.domain.reading import Measurement, Point, Presence
from cxr_node.report import codes
from cxr_node.report.header.elements import item
from cxr_node.report.impression import compared_line, named, ratio_line
from cxr_node.report.labels import caliper_label, finding_label, observation_label
from cxr_node.report.languages.language import Language
from cxr_node.report.pictures import overlay
from cxr_node.report.pictures.outlines import TRACED, averaged, bounds, closed, fitted
from cxr_node.report.pictures.placement import Box, Request, around, placed
from cxr_node.report.pictures.typeface import Color
from cxr_node.report.source import ReportedFilm

_LINE_BREAK = "\r\n"
_WIDE = 0x2E80


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphic:
    """Line or point in pixels of the film, with the lines of its label."""

    points: tuple[Point, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Graphic layer (PS3.3 section C.10.7) with its graphics."""

    name: str
    description: str
    color: Color
    graphics: tuple[Graphic, ...]

    def item(self, order: int) -> Dataset:
        """Return the item of Graphic Layer Sequence."""
        return item(
            GraphicLayer=self.name,
            GraphicLayerOrder=order,
            GraphicLayerRecommendedDisplayCIELabValue=cielab(self.color),
            GraphicLayerDescription=self.description[:64],
        )


def layers_of(film: ReportedFilm, language: Language) -> list[Layer]:
    """Return the layers of a film, those without graphics too; findings that are absent have none."""
    fit = partial(fitted, within=bounds(film))
    observations = [one for one in film.reading.observations if one.code == OBSCURED and one.line]
    borders = [Graphic(points=fit(one.line), labels=(observation_label(one, language),)) for one in observations]
    return [
        *_findings(film, language),
        _layer("AI ANATOMY", language.phrases.picture_anatomy, overlay.SKY, _anatomy(film, language)),
        _layer("AI MEASUREMENTS", language.phrases.picture_anatomy, overlay.CALIPER, _calipers(film, language)),
        _layer("AI BORDERS", language.meaning(OBSCURED), overlay.VERMILION, borders),
    ]


def annotations(layers: Sequence[Layer], film: ReportedFilm, language: Language, *, boxes: bool) -> list[Dataset]:
    """Return the items of Graphic Annotation Sequence (PS3.3 section C.10.5): one for each layer, and the caution.

    `boxes` gives labels rectangles: not on a film that the state turns, where corners would have other places.
    """
    texts = iter(_texts([one for layer in layers for one in layer.graphics if one.labels], film, boxes=boxes))
    items: list[Dataset] = []
    for layer in layers:
        annotation = item(GraphicLayer=layer.name, GraphicObjectSequence=[_object(one) for one in layer.graphics])
        labels = [next(texts) for one in layer.graphics if one.labels]
        if not items:
            labels.append(_caution(language))
        if labels:
            annotation.TextObjectSequence = labels
        items.append(annotation)
    return items


def cielab(color: Color) -> list[int]:
    """Return a color as PCS-values of the CIELab space (PS3.3 section C.10.7.1.1)."""
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in color]
    rows = ((0.4361, 0.3851, 0.1431), (0.2225, 0.7169, 0.0606), (0.0139, 0.0971, 0.7141))  # sRGB to XYZ at D50
    white = (0.9642, 1.0, 0.8249)
    x, y, z = (
        _f(sum(factor * part for factor, part in zip(row, linear, strict=True)) / reference)
        for row, reference in zip(rows, white, strict=True)
    )
    lightness, a, b = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    return [round(lightness * 65535 / 100), round((a + 128) * 257), round((b + 128) * 257)]


def _f(value: float) -> float:
    return float(value ** (1 / 3)) if value > 0.008856 else 7.787 * value + 16 / 116


def _layer(name: str, description: str, color: Color, graphics: Sequence[Graphic]) -> Layer:
    drawn = tuple(graphic for graphic in graphics if graphic.points)
    return Layer(name=name, description=description, color=color, graphics=drawn)


def _findings(film: ReportedFilm, language: Language) -> Iterator[Layer]:
    prediction = film.reading.prediction
    for number, finding, color in overlay.numbered_findings(film.reading):
        presence = language.terms.presences[finding.presence]
        doubt = language.phrases.places.format(places=presence) if finding.presence is Presence.UNDETERMINED else ""
        model = f" [{named(prediction.model_of(finding))}]" if prediction is not None and prediction.steps else ""
        label = f"{finding_label(finding, language)}{doubt}{model}"
        outlines = [closed(region.outline, bounds(film)) for region in finding.regions]
        graphics = [Graphic(points=outline, labels=(label,)) for outline in outlines]
        yield _layer(f"AI FINDING {number}", label, color, graphics)


def _anatomy(film: ReportedFilm, language: Language) -> list[Graphic]:
    """Return the outlines of structures, without labels, and the points of models."""
    prediction = film.reading.prediction
    if prediction is None:
        return []
    drawn = [structure for structure in prediction.structures if structure.key in overlay.OUTLINES]
    traced = [region.outline for structure in drawn for region in structure.regions]
    outlines = [closed(averaged(one) if len(one) >= TRACED else one, bounds(film)) for one in traced]
    points = []
    for point in prediction.visible_points:
        model = f" [{named(prediction.model_of(point))}]" if prediction.steps else ""
        label = f"{language.meaning(point.code)} {language.number(point.confidence * 100, '.0f')}{model}"
        points.append(Graphic(points=fitted([point.at], bounds(film)), labels=(label,)))
    return [*(Graphic(points=outline) for outline in outlines), *points]


def _calipers(film: ReportedFilm, language: Language) -> list[Graphic]:
    """Return the calipers of a film; measurements with the same line share it and their label."""
    shown = [one for one in film.reading.measurements if one.key in codes.MEASUREMENTS or one.key in overlay.CALIPERS]
    labels: dict[tuple[Point, ...], list[str]] = {}
    for measurement in shown:
        line = fitted(measurement.line, bounds(film))
        if len(line) > 1:
            labels.setdefault(line, []).extend(_caliper_labels(film, measurement, language))
    return [Graphic(points=line, labels=tuple(lines)) for line, lines in labels.items()]


def _caliper_labels(film: ReportedFilm, measurement: Measurement, language: Language) -> list[str]:
    """Return the label of a caliper; the ratio has that of the prior film in a second one."""
    lines = (ratio_line(film.reading, language), compared_line(film, language))
    ratio = [line.rstrip(".。") for line in lines if line] if measurement.unit == codes.RATIO else []
    return ratio or [caliper_label(measurement, film.reading, language)]


def _object(graphic: Graphic) -> Dataset:
    return item(
        GraphicAnnotationUnits="PIXEL",
        GraphicDimensions=2,
        NumberOfGraphicPoints=len(graphic.points),
        GraphicData=[coordinate for point in graphic.points for coordinate in point],
        GraphicType="POLYLINE" if len(graphic.points) > 1 else "POINT",
        GraphicFilled="N",
    )


def _texts(graphics: Sequence[Graphic], film: ReportedFilm, *, boxes: bool) -> Iterator[Dataset]:
    columns, rows = bounds(film)
    size = max(min(columns, rows) / 40, 1.0)
    anchors = list(_anchors(graphics))
    requests = [
        Request(anchor=anchor, width=size * max(map(_letters, one.labels)), height=1.5 * size * len(one.labels))
        for anchor, one in zip(anchors, graphics, strict=True)
    ]
    regions = [around(one.points) for one in graphics if one.points[0] == one.points[-1] and len(one.points) > 1]
    places = placed(requests, Box(left=0, top=0, width=columns, height=rows), regions)
    for graphic, anchor, place in zip(graphics, anchors, places, strict=True):
        text = item(
            UnformattedTextValue=_LINE_BREAK.join(graphic.labels),
            AnchorPointAnnotationUnits="PIXEL",
            AnchorPoint=list(anchor),
            AnchorPointVisibility="N",
        )
        if boxes and place is not None:
            text.BoundingBoxAnnotationUnits = "PIXEL"
            text.BoundingBoxTopLeftHandCorner = [place.left, place.top]
            text.BoundingBoxBottomRightHandCorner = [place.right, place.bottom]
            text.BoundingBoxTextHorizontalJustification = "LEFT"
        yield text


def _anchors(graphics: Sequence[Graphic]) -> Iterator[Point]:
    """Yield a point of each graphic that no earlier label has; between two points where all are taken."""
    taken: set[Point] = set()
    for graphic in graphics:
        column, row = graphic.points[0]
        candidates = (*graphic.points, *((column + step / 2, row) for step in range(1, len(graphics) + 1)))
        anchor = next(point for point in candidates if point not in taken)
        taken.add(anchor)
        yield anchor


def _letters(text: str) -> float:
    """Return the estimated length of a line in units of the font size."""
    return sum(1.0 if ord(letter) >= _WIDE else 0.6 for letter in text)


def _caution(language: Language) -> Dataset:
    return item(
        UnformattedTextValue=language.phrases.caution,
        BoundingBoxAnnotationUnits="DISPLAY",
        BoundingBoxTopLeftHandCorner=[0.02, 0.94],
        BoundingBoxBottomRightHandCorner=[0.98, 0.99],
        BoundingBoxTextHorizontalJustification="LEFT",
    )
