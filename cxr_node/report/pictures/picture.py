"""Painted film: outlines and calipers on it, findings in words beside it. Pure; no patient data.

Always in English: Pillow's built-in font has only the letters of ASCII.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Finding, Point, Presence, Reading
from cxr_node.report.impression import failure, impression_of, named
from cxr_node.report.pictures import overlay
from cxr_node.report.source import ReportedFilm

UInt8 = npt.NDArray[np.uint8]

_LONGEST = 1280
"""Longest side of the painted film in pixels: screen resolution, 4 MB instead of 40."""
_PANEL = 420
_MARGIN = 14
_TEXT = 17
_BACKGROUND = (16, 16, 16)
_INK = (235, 235, 235)
_CAUTION = (255, 196, 0)
_COLORS = {Presence.PRESENT: (255, 140, 0), Presence.UNDETERMINED: (86, 180, 233), Presence.ABSENT: (150, 150, 150)}
"""Orange and sky blue are distinct for every kind of color vision; each outline has a number too."""
_CALIPER = overlay.ORANGE
_FILL = 40
_LEADING = _TEXT + 4
_Line = tuple[str, tuple[int, int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Factors from the film's columns and rows to the painted film's, which has square pixels."""

    x: float
    y: float

    def map(self, point: Point) -> Point:
        return point[0] * self.x, point[1] * self.y


def painted(radiograph: Radiograph, reading: Reading) -> UInt8:
    """Return the film with its overlay on the left and the findings in words on the right.

    Returns
    -------
    Shape (rows, columns, 3), red, green and blue. The film's longer side has at most 1280 pixels; its
    pixels are square even where those of the film are not.
    """
    film, scale = _film(radiograph)
    draw = ImageDraw.Draw(film, "RGBA")
    findings = () if reading.prediction is None else reading.prediction.findings
    for number, finding in enumerate(findings, start=1):
        _outline(draw, number, finding, scale)
    overlay.draw(overlay.Drawing(draw=draw, at=scale.map, width=film.width, height=film.height), reading)
    _label(draw, "RESEARCH USE ONLY", (_MARGIN, film.height - 2 * _TEXT), _CAUTION)
    lines = list(_lines(reading))
    height = max(film.height, 2 * _MARGIN + len(lines) * _LEADING)
    canvas = Image.new("RGB", (film.width + _PANEL, height), _BACKGROUND)
    canvas.paste(film, (0, 0))
    _panel(ImageDraw.Draw(canvas), lines, left=film.width + _MARGIN)
    return np.asarray(canvas, dtype=np.uint8)


def _film(radiograph: Radiograph) -> tuple[Image.Image, _Scale]:
    gray = (radiograph.p_values >> 8).astype(np.uint8)
    rows, columns = gray.shape
    height = rows * radiograph.geometry.aspect_ratio
    factor = min(1.0, _LONGEST / max(height, columns))
    size = max(1, round(columns * factor)), max(1, round(height * factor))
    film = Image.fromarray(gray).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return film.convert("RGB"), _Scale(x=size[0] / columns, y=size[1] / rows)


def _outline(draw: ImageDraw.ImageDraw, number: int, finding: Finding, scale: _Scale) -> None:
    color = _COLORS[finding.presence]
    for region in finding.regions:
        points = [scale.map(point) for point in region.outline]
        draw.polygon(points, fill=(*color, _FILL))
        draw.line([*points, points[0]], fill=color, width=3, joint="curve")
        _label(draw, str(number), min(points), color)


def _label(draw: ImageDraw.ImageDraw, text: str, at: Point, color: tuple[int, int, int]) -> None:
    font = ImageFont.load_default(_TEXT)
    corner = at[0] + 6, at[1] + 4
    left, top, right, bottom = draw.textbbox(corner, text, font=font)
    draw.rectangle((left - 3, top - 3, right + 3, bottom + 3), fill=(0, 0, 0))
    draw.text(corner, text, fill=color, font=font)


def _panel(draw: ImageDraw.ImageDraw, lines: Sequence[_Line], *, left: int) -> None:
    font = ImageFont.load_default(_TEXT)
    for number, (text, color) in enumerate(lines):
        draw.text((left, _MARGIN + number * _LEADING), text, fill=color, font=font)


def _lines(reading: Reading) -> Iterator[_Line]:
    characters = int((_PANEL - 2 * _MARGIN) / ImageFont.load_default(_TEXT).getlength("n"))
    for text, color in _paragraphs(reading):
        yield from ((line, color) for line in textwrap.wrap(text, characters))
        yield "", color


def _paragraphs(reading: Reading) -> Iterator[_Line]:
    """Yield the impression, its findings in the color of their outlines, and the caution at the end."""
    impression = impression_of([ReportedFilm(header=Dataset(), reading=reading)])
    (words,) = impression.films
    findings = () if reading.prediction is None else reading.prediction.findings
    numbered = [(number, one) for number, one in enumerate(findings, start=1) if one.presence is not Presence.ABSENT]
    yield impression.headline, _INK
    for (number, finding), line in zip(numbered, words.findings, strict=True):
        yield f"{number}  {line}", _COLORS[finding.presence]
    for line, color in ((words.not_analysed, _INK), (words.negatives, _INK), (words.ratio, _CALIPER)):
        if line:
            yield line, color
    yield from ((line, _INK) for line in (words.quality, *words.remarks, *_models(reading)) if line)
    yield impression.notice, _CAUTION


def _models(reading: Reading) -> list[str]:
    if reading.prediction is None:
        return []
    failures = [failure(step) for step in reading.prediction.failed_steps]
    return [*failures, *(f"Model {named(model)}" for model in reading.prediction.models)]
