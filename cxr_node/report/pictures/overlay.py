"""What was measured, drawn onto a film: outlines, borders, calipers, zones, metal and the film's quality. Pure.

Colors are those of Okabe and Ito (Color Universal Design, 2008), which stay apart for every kind of color vision; and
nothing rests on color alone: an obscured border is thick and named, a caliper has ticks and its number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import ImageDraw, ImageFont

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.reading import Measurement, Observation, Point, Reading, Structure, Topic

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
"""Measurements that are drawn as calipers, and their label."""
_ANGLES = ("costophrenic_angle/right", "costophrenic_angle/left")
_MARGIN = 3
_JUDGED = {
    concepts.USABLE: "usable",
    concepts.LIMITED: "usable with limits",
    concepts.UNUSABLE: "unusable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Where to draw: `at` takes a point of the film to the picture, whose film is `width` by `height` pixels."""

    draw: ImageDraw.ImageDraw
    at: Callable[[Point], Point]
    width: int
    height: int

    @property
    def text(self) -> int:
        """Height of letters in pixels: 13 on a film of 512."""
        return max(9, round(min(self.width, self.height) / 40))

    @property
    def line(self) -> int:
        """Width of a thin line."""
        return max(1, round(min(self.width, self.height) / 500))


def draw(sheet: Sheet, reading: Reading) -> None:
    """Draw all that was measured on the film of `reading`."""
    for structure in () if reading.prediction is None else reading.prediction.structures:
        _structure(sheet, structure)
    for observation in reading.observations:
        _observation(sheet, observation)
    taken = {each.key: each for each in reading.measurements}
    _calipers(sheet, taken)
    for each in reading.measurements:
        if each.code == concepts.ZONE_DENSITY:
            _zone(sheet, each, taken)
    _foot(sheet, reading, taken)


def _structure(sheet: Sheet, structure: Structure) -> None:
    color = _OUTLINES.get(structure.key)
    if color is not None:
        for region in structure.regions:
            _polyline(sheet, (*region.outline, region.outline[0]), color, 1)


def _calipers(sheet: Sheet, taken: Mapping[str, Measurement]) -> None:
    for key, label in CALIPERS.items():
        if key in taken:
            _caliper(sheet, taken[key], label)
    if "CTR" in taken and "MTCD" not in taken:
        _caliper(sheet, taken["CTR"], "CTR", "")
    for key in _ANGLES:
        if key in taken:
            _angle(sheet, taken[key])


def _observation(sheet: Sheet, one: Observation) -> None:
    if one.code == concepts.OBSCURED and one.line:
        _polyline(sheet, one.line, VERMILION, 3)
        lobe = "" if one.site is None else f": {_short(one.site.meaning)}"
        _label(sheet, f"obscured{lobe}", one.line[len(one.line) // 4], VERMILION)
    elif one.code == concepts.CLEAR and one.line and not one.key.endswith("angle"):
        _polyline(sheet, one.line, SKY, 2)
    elif one.code == concepts.METAL:
        for region in one.regions:
            _polyline(sheet, (*region.outline, region.outline[0]), YELLOW, 1)
        if one.value == concepts.DEVICE:
            _label(sheet, "metal", one.regions[0].outline[0], YELLOW)


def _short(meaning: str) -> str:
    return meaning.removesuffix(" of lung").removesuffix(" of right lung").removesuffix(" of left lung").lower()


def _caliper(sheet: Sheet, one: Measurement, label: str, unit: str = " mm") -> None:
    points = [sheet.at(point) for point in one.line]
    if len(points) < 2:
        return
    color, tick = ORANGE, 2 * sheet.line + 3
    sheet.draw.line(points, fill=color, width=sheet.line + 1)
    for column, row in (points[0], points[-1]):
        sheet.draw.line([(column, row - tick), (column, row + tick)], fill=color, width=sheet.line + 1)
    value = f"{one.value:.2f}" if not unit else f"{one.value:.0f}{unit}"
    _label(sheet, f"{label} {value}", one.line[0], color)


def _angle(sheet: Sheet, one: Measurement) -> None:
    _polyline(sheet, one.line, ORANGE, 1)
    _label(sheet, f"{one.value:.0f}\N{DEGREE SIGN}", one.line[len(one.line) // 2], ORANGE)


def _zone(sheet: Sheet, one: Measurement, taken: Mapping[str, Measurement]) -> None:
    """Write a zone's share of soft tissue into its middle."""
    share = taken.get(one.key.replace("density/", "share_soft/"))
    if share is None:
        return
    columns, rows = zip(*one.line, strict=True)
    middle = (min(columns) + max(columns)) / 2, (min(rows) + max(rows)) / 2
    _label(sheet, f"{share.value:.0f}% soft", middle, SKY, centered=True)


def _foot(sheet: Sheet, reading: Reading, taken: Mapping[str, Measurement]) -> None:
    """Write the ratio and the film's quality into the upper left corner."""
    lines = [f"CTR {taken['CTR'].value:.2f}"] if "CTR" in taken else []
    for one in reading.observations:
        if one.code == concepts.QUALITY_ASSESSMENT:
            lines.append(f"quality: {_JUDGED.get(one.value, one.value.meaning)}")
        elif one.topic is Topic.QUALITY and one.value in (concepts.LIMITED, concepts.UNUSABLE) and one.detail:
            lines.append(f"- {one.detail}")
    row = float(_MARGIN)
    for text in lines:
        sheet.draw.text((_MARGIN + 1, row), text, fill=YELLOW, font=_font(sheet), stroke_width=1, stroke_fill=(0, 0, 0))
        row += sheet.text + 3


def _polyline(sheet: Sheet, points: tuple[Point, ...], color: Color, width: int) -> None:
    if len(points) > 1:
        sheet.draw.line([sheet.at(point) for point in points], fill=color, width=width * sheet.line, joint="curve")


def _font(sheet: Sheet) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(sheet.text)


def _label(sheet: Sheet, text: str, at: Point, color: Color, *, centered: bool = False) -> None:
    """Write a label that stays on the film, with a dark edge so that it can be read on white and black."""
    column, row = sheet.at(at)
    left, top, right, bottom = sheet.draw.textbbox((0, 0), text, font=_font(sheet), stroke_width=1)
    wide, tall = right - left, bottom - top
    column = column - wide / 2 if centered else column + _MARGIN
    row = row - tall / 2 if centered else row + _MARGIN
    column = min(max(column, _MARGIN), sheet.width - wide - _MARGIN)
    row = min(max(row, _MARGIN), sheet.height - tall - _MARGIN)
    sheet.draw.text((column, row), text, fill=color, font=_font(sheet), stroke_width=1, stroke_fill=(0, 0, 0))
