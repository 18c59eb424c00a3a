"""Overlay of measurements on a film: outlines, points, borders, calipers, zones, metal and film quality. Pure.

Colors are those of Okabe and Ito (Color Universal Design, 2008), distinct for every kind of color vision. Nothing is
shown by color alone: an obscured border is thick and named, a caliper has ticks and its number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import ImageDraw, ImageFont

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.reading import Measurement, NamedPoint, Observation, Point, Reading, Structure, Topic

Color = tuple[int, int, int]

ORANGE, SKY, GREEN, YELLOW = (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)
VERMILION, PURPLE = (213, 94, 0), (204, 121, 167)
_OUTLINES: Mapping[str, Color] = {
    Anatomy.RIGHT_LUNG: SKY,
    Anatomy.LEFT_LUNG: SKY,
    Anatomy.HEART: PURPLE,
    Anatomy.AORTA: PURPLE,
    Anatomy.TRACHEA: GREEN,
    Anatomy.BRONCHI: GREEN,
    Anatomy.RIGHT_CLAVICLE: YELLOW,
    Anatomy.LEFT_CLAVICLE: YELLOW,
}
"""Ribs, scapulae and the spine are measured on but not drawn: they would cover the lungs."""

CALIPERS = {"MTCD": "heart", "MITD": "thorax", "mediastinal_width": "mediastinum", "tracheal_deviation": "trachea"}
"""Key of a measurement drawn as a caliper to its label."""
_ANGLES = ("costophrenic_angle/right", "costophrenic_angle/left")
_MARGIN = 3
_QUALITIES = {concepts.USABLE: "usable", concepts.LIMITED: "usable with limits", concepts.UNUSABLE: "unusable"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Drawing target: `at` maps a point of the film to the picture, where the film is `width` by `height` pixels."""

    draw: ImageDraw.ImageDraw
    at: Callable[[Point], Point]
    width: int
    height: int

    @property
    def text(self) -> int:
        """Font size in pixels: 13 on a film of 512."""
        return max(9, round(min(self.width, self.height) / 40))

    @property
    def line(self) -> int:
        """Width of a thin line."""
        return max(1, round(min(self.width, self.height) / 500))


def draw(drawing: Drawing, reading: Reading) -> None:
    """Draw structures, points, observations and measurements of `reading`."""
    for structure in () if reading.prediction is None else reading.prediction.structures:
        _structure(drawing, structure)
    for point in () if reading.prediction is None else reading.prediction.visible_points:
        _point(drawing, point)
    for observation in reading.observations:
        _observation(drawing, observation)
    measurements = {measurement.key: measurement for measurement in reading.measurements}
    _calipers(drawing, measurements)
    for measurement in reading.measurements:
        if measurement.code == concepts.ZONE_DENSITY:
            _zone(drawing, measurement, measurements)
    _foot(drawing, reading, measurements)


def _structure(drawing: Drawing, structure: Structure) -> None:
    color = _OUTLINES.get(structure.key)
    if color is not None:
        for region in structure.regions:
            _polyline(drawing, (*region.outline, region.outline[0]), color, 1)


def _point(drawing: Drawing, point: NamedPoint) -> None:
    """Draw a cross and the name of a point."""
    column, row = drawing.at(point.at)
    arm = 3 * drawing.line + 4
    drawing.draw.line([(column - arm, row), (column + arm, row)], fill=GREEN, width=drawing.line + 1)
    drawing.draw.line([(column, row - arm), (column, row + arm)], fill=GREEN, width=drawing.line + 1)
    _label(drawing, point.code.meaning, point.at, GREEN)


def _calipers(drawing: Drawing, measurements: Mapping[str, Measurement]) -> None:
    for key, label in CALIPERS.items():
        if key in measurements:
            _caliper(drawing, measurements[key], label)
    if "CTR" in measurements and "MTCD" not in measurements:
        _caliper(drawing, measurements["CTR"], "CTR", "")
    for key in _ANGLES:
        if key in measurements:
            _angle(drawing, measurements[key])


def _observation(drawing: Drawing, observation: Observation) -> None:
    if observation.code == concepts.OBSCURED and observation.line:
        _polyline(drawing, observation.line, VERMILION, 3)
        lobe = "" if observation.site is None else f": {_short(observation.site.meaning)}"
        _label(drawing, f"obscured{lobe}", observation.line[len(observation.line) // 4], VERMILION)
    elif observation.code == concepts.CLEAR and observation.line and not observation.key.endswith("angle"):
        _polyline(drawing, observation.line, SKY, 2)
    elif observation.code == concepts.METAL:
        for region in observation.regions:
            _polyline(drawing, (*region.outline, region.outline[0]), YELLOW, 1)
        if observation.value == concepts.DEVICE:
            _label(drawing, "metal", observation.regions[0].outline[0], YELLOW)


def _short(meaning: str) -> str:
    return meaning.removesuffix(" of lung").removesuffix(" of right lung").removesuffix(" of left lung").lower()


def _caliper(drawing: Drawing, measurement: Measurement, label: str, unit: str = " mm") -> None:
    points = [drawing.at(point) for point in measurement.line]
    if len(points) < 2:
        return
    color, tick = ORANGE, 2 * drawing.line + 3
    drawing.draw.line(points, fill=color, width=drawing.line + 1)
    for column, row in (points[0], points[-1]):
        drawing.draw.line([(column, row - tick), (column, row + tick)], fill=color, width=drawing.line + 1)
    value = f"{measurement.value:.2f}" if not unit else f"{measurement.value:.0f}{unit}"
    _label(drawing, f"{label} {value}", measurement.line[0], color)


def _angle(drawing: Drawing, measurement: Measurement) -> None:
    _polyline(drawing, measurement.line, ORANGE, 1)
    _label(drawing, f"{measurement.value:.0f}\N{DEGREE SIGN}", measurement.line[len(measurement.line) // 2], ORANGE)


def _zone(drawing: Drawing, measurement: Measurement, measurements: Mapping[str, Measurement]) -> None:
    """Write a zone's share of soft tissue at its center."""
    share = measurements.get(measurement.key.replace("density/", "share_soft/"))
    if share is None:
        return
    columns, rows = zip(*measurement.line, strict=True)
    center = (min(columns) + max(columns)) / 2, (min(rows) + max(rows)) / 2
    _label(drawing, f"{share.value:.0f}% soft", center, SKY, centered=True)


def _foot(drawing: Drawing, reading: Reading, measurements: Mapping[str, Measurement]) -> None:
    """Write the ratio and the film's quality into the upper left corner."""
    lines = [f"CTR {measurements['CTR'].value:.2f}"] if "CTR" in measurements else []
    for one in reading.observations:
        if one.code == concepts.QUALITY_ASSESSMENT:
            lines.append(f"quality: {_QUALITIES.get(one.value, one.value.meaning)}")
        elif one.topic is Topic.QUALITY and one.value in (concepts.LIMITED, concepts.UNUSABLE) and one.detail:
            lines.append(f"- {one.detail}")
    row = float(_MARGIN)
    for text in lines:
        corner = _MARGIN + 1, row
        drawing.draw.text(corner, text, fill=YELLOW, font=_font(drawing), stroke_width=1, stroke_fill=(0, 0, 0))
        row += drawing.text + 3


def _polyline(drawing: Drawing, points: tuple[Point, ...], color: Color, width: int) -> None:
    if len(points) > 1:
        mapped = [drawing.at(point) for point in points]
        drawing.draw.line(mapped, fill=color, width=width * drawing.line, joint="curve")


def _font(drawing: Drawing) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(drawing.text)


def _label(drawing: Drawing, text: str, at: Point, color: Color, *, centered: bool = False) -> None:
    """Write a label inside the film, with a dark edge for contrast on white and black."""
    column, row = drawing.at(at)
    left, top, right, bottom = drawing.draw.textbbox((0, 0), text, font=_font(drawing), stroke_width=1)
    wide, tall = right - left, bottom - top
    column = column - wide / 2 if centered else column + _MARGIN
    row = row - tall / 2 if centered else row + _MARGIN
    column = min(max(column, _MARGIN), drawing.width - wide - _MARGIN)
    row = min(max(row, _MARGIN), drawing.height - tall - _MARGIN)
    drawing.draw.text((column, row), text, fill=color, font=_font(drawing), stroke_width=1, stroke_fill=(0, 0, 0))
