"""Blocks of a page, one below the other: paragraphs, columns, pictures, and the size at which they fit. Pure.

Lengths are points. `Ruler` breaks text into lines of a font size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from PIL import Image

from cxr_node.domain.reading import Finding
from cxr_node.report.pages.pdf import A4, Page, text_width
from cxr_node.report.pictures.typeface import Color, Typeface, broken

MARGIN = 36.0
WIDTH = A4[0] - 2 * MARGIN
INK, QUIET, RULE, CAUTION = (20, 20, 20), (95, 95, 95), (190, 190, 190), (150, 40, 0)
_TRACK = (222, 222, 222)
_LEADING = 1.35
_GAP = 12.0
_BAR = 110.0
_UNITS = 1000
_LEAST_PICTURE = 110.0
SCALES = (1.0, 0.9, 0.8, 0.7, 0.6)
"""Of the font sizes: the first at which everything fits is taken."""


class Block(Protocol):
    """A part of the page over its whole width."""

    @property
    def height(self) -> float:
        """Height in points."""
        ...

    def draw(self, page: Page, top: float) -> None:
        """Draw the block with its upper edge at `top`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruler:
    """Breaks text into lines; `scale` multiplies every font size."""

    typeface: Typeface
    scale: float

    def lines(self, text: str, size: float, width: float) -> tuple[str, ...]:
        """Return `text` as lines of at most `width` points in a font size before scaling."""
        return tuple(broken(text, width * _UNITS / (size * self.scale), self._width))

    def _width(self, text: str) -> float:
        """Return the width of a line in thousandths of the font size."""
        return text_width(self.typeface, text)

    def paragraph(
        self, text: str, size: float, color: Color = INK, *, bold: bool = False, after: float = 0.25
    ) -> "Paragraph":
        """Return a paragraph over the whole width; `after` is the space below it, as a share of the font size."""
        lines = self.lines(text, size, WIDTH)
        return Paragraph(lines=lines, size=size * self.scale, color=color, bold=bold, after=after)

    def finding(self, text: str, size: float, number: int, finding: Finding, color: Color) -> "Paragraph":
        """Return the line of a finding with its number on its color, and its score as a bar."""
        indent = 2 * size * self.scale
        lines = self.lines(text, size, WIDTH - indent - _BAR - _GAP)
        mark = Mark(number=number, finding=finding, color=color)
        return Paragraph(lines=lines, size=size * self.scale, color=INK, indent=indent, mark=mark, bold=True)

    def columns(self, cells: Sequence[tuple[str, str]], size: float, count: int) -> "Columns":
        """Return cells of (label, text) in `count` columns, row by row."""
        width = (WIDTH - (count - 1) * _GAP) / count
        broken = [(label, self.lines(text, size, width)) for label, text in cells]
        return Columns(cells=tuple(broken), size=size * self.scale, count=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Number and color of a finding, as on the picture."""

    number: int
    finding: Finding
    color: Color


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Lines of text."""

    lines: tuple[str, ...]
    size: float
    color: Color
    bold: bool = False
    after: float = 0.25
    indent: float = 0.0
    mark: Mark | None = None

    @property
    def height(self) -> float:
        """Height in points."""
        return self.size * (_LEADING * len(self.lines) + self.after)

    def draw(self, page: Page, top: float) -> None:
        """Draw the lines, and number and bar of a finding."""
        if self.mark is not None:
            _draw_mark(page, self.mark, top, self.size)
        for number, line in enumerate(self.lines):
            left, at = MARGIN + self.indent, top + number * self.size * _LEADING
            page.text(left, at, line, self.size, self.color, bold=self.bold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Cells of (label, lines of text) in columns, filled row by row; a label is small above its text."""

    cells: tuple[tuple[str, tuple[str, ...]], ...]
    size: float
    count: int

    @property
    def height(self) -> float:
        """Height in points."""
        return sum(self._row_heights())

    def draw(self, page: Page, top: float) -> None:
        """Draw the cells."""
        step = (WIDTH + _GAP) / self.count
        for index, height in enumerate(self._row_heights()):
            row = self.cells[index * self.count : (index + 1) * self.count]
            for column, (label, lines) in enumerate(row):
                left, at = MARGIN + column * step, top
                if label:
                    page.text(left, at, label, self.size * 0.75, QUIET)
                    at += self.size * 0.75 * _LEADING
                for line in lines:
                    page.text(left, at, line, self.size, INK)
                    at += self.size * _LEADING
            top += height

    def _row_heights(self) -> list[float]:
        rows = [self.cells[start : start + self.count] for start in range(0, len(self.cells), self.count)]
        return [max(self._cell_height(*cell) for cell in row) + self.size * 0.2 for row in rows]

    def _cell_height(self, label: str, lines: tuple[str, ...]) -> float:
        return self.size * _LEADING * (len(lines) + (0.75 if label else 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Thin line with space around it."""

    height: float = 9.0

    def draw(self, page: Page, top: float) -> None:
        """Draw the line."""
        page.rectangle(MARGIN, top + self.height / 2, WIDTH, 0.6, RULE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Picture of a film with its caption."""

    caption: str
    image: Image.Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures side by side, at most four in a row, in at most `height` points."""

    pictures: tuple[Picture, ...]
    caption_size: float
    height: float

    def draw(self, page: Page, top: float) -> None:
        """Draw the pictures, each as large as its place."""
        columns = min(len(self.pictures), 4)
        rows = -(-len(self.pictures) // columns)
        width, height = (WIDTH - (columns - 1) * _GAP) / columns, self.height / rows
        head = self.caption_size * _LEADING
        for index, picture in enumerate(self.pictures):
            left = MARGIN + index % columns * (width + _GAP)
            at = top + index // columns * height
            factor = min(width / picture.image.width, (height - head - _GAP / 2) / picture.image.height)
            page.text(left, at, picture.caption, self.caption_size, QUIET)
            page.image(picture.image, left, at + head, picture.image.width * factor, picture.image.height * factor)

    def fitted(self, room: float) -> "Pictures":
        """Return the pictures in `room` points of height, but no higher than they can be on the page."""
        columns = min(len(self.pictures), 4)
        rows = -(-len(self.pictures) // columns)
        width = (WIDTH - (columns - 1) * _GAP) / columns
        tallest = max(picture.image.height / picture.image.width for picture in self.pictures) * width
        height = min(room, rows * (tallest + self.caption_size * _LEADING + _GAP / 2))
        return Pictures(pictures=self.pictures, caption_size=self.caption_size, height=height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What stands on a page, from top to bottom; `foot` is at the lower edge."""

    head: Sequence[Block]
    body: Sequence[Block]
    measurements: Sequence[Block] = ()
    foot: Sequence[Block] = field(default=())


def lay_out(
    page: Page, content_at: Callable[[Ruler], Content], typeface: Typeface, pictures: Sequence[Picture], more: str
) -> None:
    """Draw everything on one page, in the largest of `SCALES` at which it fits beside pictures of a useful size.

    Where nothing fits, measurements are left out first, then pictures, and then the last lines of the body, for which
    the sentence `more` stands.
    """
    rows = -(-len(pictures) // 4)
    room = A4[1] - 2 * MARGIN
    for scale in SCALES:
        ruler = Ruler(typeface=typeface, scale=scale)
        content = content_at(ruler)
        rest = room - sum(map(_height, (content.head, content.body, content.foot)))
        is_last = scale == SCALES[-1]
        for measurements in (content.measurements, ()) if is_last else (content.measurements,):
            left = rest - _height(measurements)
            if left >= _LEAST_PICTURE * rows:
                block = Pictures(pictures=tuple(pictures), caption_size=8 * scale, height=0)
                shown = [block.fitted(left)] if pictures else []
                _draw(page, [*content.head, *content.body, *shown, *measurements], content.foot)
                return
    body = list(content.body)
    if rest < 0:
        sentence = ruler.paragraph(more, 10)
        rest -= sentence.height
        while body and rest < 0:
            rest += body.pop().height
        body.append(sentence)
    _draw(page, [*content.head, *body], content.foot)


def _draw(page: Page, blocks: Sequence[Block], foot: Sequence[Block]) -> None:
    for top, column in ((MARGIN, blocks), (A4[1] - MARGIN - _height(foot), foot)):
        at = top
        for block in column:
            block.draw(page, at)
            at += block.height


def _height(blocks: Sequence[Block]) -> float:
    return sum(block.height for block in blocks)


def _draw_mark(page: Page, mark: Mark, top: float, size: float) -> None:
    """Draw the number on its color, the score as a bar from 0 to 1, and its threshold as a line across it."""
    number, side = str(mark.number), size * 1.35
    page.rectangle(MARGIN, top, side, size * 1.2, mark.color)
    width = text_width(page.typeface, number) * size / _UNITS
    page.text(MARGIN + (side - width) / 2, top + size * 0.1, number, size, bold=True)
    left, at, height = MARGIN + WIDTH - _BAR, top + size * 0.3, size * 0.65
    page.rectangle(left, at, _BAR, height, _TRACK)
    page.rectangle(left, at, _BAR * mark.finding.score, height, mark.color)
    page.rectangle(left + _BAR * mark.finding.operating_point - 0.75, at - size * 0.15, 1.5, size * 0.95, INK)
