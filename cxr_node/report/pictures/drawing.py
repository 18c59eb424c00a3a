"""Drawing on a film: smooth outlines, calipers, and labels that neither overlap nor leave the film."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import dist

from PIL import Image, ImageDraw

from cxr_node.domain.reading import Point
from cxr_node.report.pictures.outlines import TRACED, averaged
from cxr_node.report.pictures.placement import Box, Request, around, placed
from cxr_node.report.pictures.typeface import Color, Typeface

_SCALE = 2
"""Lines are drawn at twice the size and reduced, which makes their edges smooth."""
_ROUNDS = 3
"""Of corner cutting (Chaikin, 1974): more change no pixel of a film on a screen."""
_STEP = 24
"""An outline of many shorter sides, in pixels of the layer, is averaged."""
_PADDING = 4
_BACKGROUND = (0, 0, 0, 170)
_DASHES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Label:
    lines: tuple[str, ...]
    anchor: Point
    color: Color


@dataclass(slots=True, kw_only=True)
class Drawing:
    """A film as it hangs, in the size of the picture, and what is drawn on it.

    `x` and `y` are pixels of the picture for a column and a row of the film, `text` is the font size in pixels. Lines
    and labels are in pixels of the film; `finished` puts them on it.
    """

    film: Image.Image
    x: float
    y: float
    typeface: Typeface
    text: int
    _layer: Image.Image = field(init=False)
    _draw: ImageDraw.ImageDraw = field(init=False)
    _labels: list[_Label] = field(init=False, default_factory=list)
    _avoided: list[Box] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._layer = Image.new("RGBA", (self.film.width * _SCALE, self.film.height * _SCALE))
        self._draw = ImageDraw.Draw(self._layer, "RGBA")

    def outline(
        self, points: Sequence[Point], color: Color, *, width: int = 3, dashed: bool = False, avoided: bool = True
    ) -> None:
        """Draw a closed outline with smooth corners; labels avoid it if they are to."""
        mapped = smooth(self._mapped(points))
        self._avoided += [around(self._at(points))] if avoided else []
        if dashed:
            self._dashes((*mapped, mapped[0]), color, width)
        else:
            self._line((*mapped, *mapped[:2]), color, width)

    def polyline(self, points: Sequence[Point], color: Color, *, width: int = 2) -> None:
        """Draw an open line."""
        if len(points) > 1:
            self._line(self._mapped(points), color, width)

    def caliper(self, points: Sequence[Point], color: Color, *, width: int = 2) -> None:
        """Draw a line with a tick at each end; labels avoid it."""
        if len(points) < 2:
            return
        self._avoided.append(around(self._at(points)))
        mapped, tick = self._mapped(points), 4 * width * _SCALE
        self._line(mapped, color, width)
        for column, row in (mapped[0], mapped[-1]):
            self._line(((column, row - tick), (column, row + tick)), color, width)

    def cross(self, point: Point, color: Color, *, width: int = 2) -> None:
        """Draw a cross at a point."""
        ((column, row),), arm = self._mapped([point]), 4 * width * _SCALE
        self._line(((column - arm, row), (column + arm, row)), color, width)
        self._line(((column, row - arm), (column, row + arm)), color, width)

    def label(self, text: str, anchor: Point, color: Color) -> None:
        """Ask for a label at a point of the film; one longer than half of the film has several lines."""
        lines = self.typeface.wrapped(text, max(self.film.width * 0.55, 8 * self.text), self.text)
        self._labels.append(_Label(lines=tuple(lines), anchor=anchor, color=color))

    @property
    def texts(self) -> list[str]:
        """The labels, with a space at each line break."""
        return [" ".join(label.lines) for label in self._labels]

    def finished(self) -> Image.Image:
        """Return the film with all that was drawn; a label that it has no room for is left out."""
        picture = self._with_lines()
        draw = ImageDraw.Draw(picture, "RGBA")
        for label, box in zip(self._labels, self.boxes(), strict=True):
            if box is not None:
                self._write(draw, label, box)
        return picture

    def _with_lines(self) -> Image.Image:
        """Return the film with the lines; only the part that has any is reduced and blended."""
        picture = self.film.convert("RGB")
        drawn = self._layer.getbbox(alpha_only=True)
        if drawn is None:
            return picture
        left, top = drawn[0] // _SCALE, drawn[1] // _SCALE
        right, bottom = -(-drawn[2] // _SCALE), -(-drawn[3] // _SCALE)
        lines = self._layer.crop((left * _SCALE, top * _SCALE, right * _SCALE, bottom * _SCALE)).reduce(_SCALE)
        part = picture.crop((left, top, right, bottom)).convert("RGBA")
        picture.paste(Image.alpha_composite(part, lines).convert("RGB"), (left, top))
        return picture

    def boxes(self) -> list[Box | None]:
        """Return the rectangle of each label in pixels of the picture, or None where there is no room."""
        film = Box(left=0, top=0, width=self.film.width, height=self.film.height)
        requests = [
            Request(
                anchor=self._at([label.anchor])[0],
                width=max(self.typeface.width(line, self.text) for line in label.lines) + 2 * _PADDING,
                height=len(label.lines) * self.leading + 2 * _PADDING,
            )
            for label in self._labels
        ]
        return placed(requests, film, self._avoided)

    @property
    def leading(self) -> int:
        """Distance of lines."""
        return leading(self.text)

    def _write(self, draw: ImageDraw.ImageDraw, label: _Label, box: Box) -> None:
        anchor = self._at([label.anchor])[0]
        near = box.nearest(anchor)
        if max(abs(near[0] - anchor[0]), abs(near[1] - anchor[1])) > 2 * self.text:
            draw.line([near, anchor], fill=label.color, width=1)
        draw.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), fill=_BACKGROUND)
        for number, line in enumerate(label.lines):
            corner = box.left + _PADDING, box.top + _PADDING + number * self.leading
            self.typeface.write(draw, corner, line, self.text, label.color)

    def _at(self, points: Sequence[Point]) -> list[Point]:
        return [(column * self.x, row * self.y) for column, row in points]

    def _mapped(self, points: Sequence[Point]) -> list[Point]:
        return [(column * _SCALE, row * _SCALE) for column, row in self._at(points)]

    def _line(self, points: Sequence[Point], color: Color, width: int) -> None:
        self._draw.line(list(points), fill=(*color, 255), width=width * _SCALE, joint="curve")

    def _dashes(self, points: Sequence[Point], color: Color, width: int) -> None:
        """Draw a line of dashes and gaps of equal length."""
        length, period = 0.0, _DASHES * width * _SCALE
        for start, end in pairwise(points):
            if int(length // period) % 2 == 0:
                self._line((start, end), color, width)
            length += dist(start, end)


def leading(size: int) -> int:
    """Return the distance of lines of text of a size, in pixels."""
    return round(size * 1.4)


def smooth(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return a closed outline with its corners cut: each round puts two points on each side, at a quarter of it.

    Steps of an outline that was traced along pixels are averaged before.
    """
    outline = averaged(points) if _is_traced(points) else tuple(points)
    for _ in range(_ROUNDS):
        following = (*outline[1:], outline[0])
        outline = tuple(
            (near[0] + share * (far[0] - near[0]), near[1] + share * (far[1] - near[1]))
            for near, far in zip(outline, following, strict=True)
            for share in (0.25, 0.75)
        )
    return outline


def _is_traced(points: Sequence[Point]) -> bool:
    """Whether an outline has a point every few pixels of the picture."""
    steps = [dist(near, far) for near, far in pairwise(points)]
    return len(points) >= TRACED and sum(steps) / len(steps) < _STEP
