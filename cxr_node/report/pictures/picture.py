"""Picture of a film: as sent on the left, with findings or anatomy on the right, and the impression below. Pure.

No patient data. Text is 12 points at 1:1 even when the picture is shown at half its size. The corners have little text
of their own: viewers write date, series and window there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Finding
from cxr_node.domain.reduced_film import ReducedFilm, UInt8
from cxr_node.report.impression import Impression, failure, impression_of, named
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.registry import ENGLISH
from cxr_node.report.pictures import overlay
from cxr_node.report.pictures.drawing import Drawing, leading
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.pictures.typeface import Color, Typeface, typeface_of
from cxr_node.report.source import ReportedFilm

TEXT = 22
"""Font size in pixels: at half size still 11."""
_TITLE = 28
_MARGIN = 24
_LEAST_WIDTH = 1240
_BAR = 340
_BACKGROUND, _INK, _QUIET, _CAUTION = (16, 16, 16), (235, 235, 235), (170, 170, 170), (255, 196, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paragraph:
    """Lines below the films; of a finding, with its number, color and bar."""

    lines: Sequence[str]
    color: Color = _INK
    number: int = 0
    finding: Finding | None = None

    @property
    def height(self) -> int:
        return len(self.lines) * leading(TEXT) + leading(TEXT) // 4


def painted(
    radiograph: Radiograph,
    film: ReportedFilm,
    language: Language = ENGLISH,
    *,
    shown: overlay.Overlay = overlay.FINDINGS,
) -> UInt8:
    """Return the picture of a film that hangs; `shown` is drawn on the right one.

    Returns
    -------
    Shape (rows, columns, 3), red, green and blue. The longer side of each film has 960 pixels, which are square even
    where those of the film are not.
    """
    return np.asarray(canvas(reduce_film(radiograph), film, language, shown=shown), dtype=np.uint8)


def canvas(
    reduced: ReducedFilm, film: ReportedFilm, language: Language, *, shown: overlay.Overlay = overlay.FINDINGS
) -> Image.Image:
    """Return the picture of `painted` as an RGB image."""
    typeface, impression = typeface_of(language), impression_of([film], language)
    left, right = films(reduced, film, language, shown=shown)
    width = max(2 * left.width + 3 * _MARGIN, _LEAST_WIDTH)
    title = typeface.wrapped(impression.headline, width - 2 * _MARGIN, _TITLE)
    paragraphs = list(_paragraphs(film, impression, language, typeface, width))
    top = _MARGIN + len(title) * leading(_TITLE) + leading(TEXT)
    height = top + left.height + _MARGIN + sum(paragraph.height for paragraph in paragraphs) + _MARGIN
    image = Image.new("RGB", (width, height), _BACKGROUND)
    ink = ImageDraw.Draw(image)
    for number, line in enumerate(title):
        typeface.write(ink, (_MARGIN, _MARGIN / 2 + number * leading(_TITLE)), line, _TITLE, _INK, bold=True)
    captions = language.phrases.picture_original, shown.caption(language)
    for column, one, caption in zip((_MARGIN, 2 * _MARGIN + left.width), (left, right), captions, strict=True):
        centered = column + (one.width - typeface.width(caption, TEXT)) / 2
        typeface.write(ink, (centered, top - leading(TEXT)), caption, TEXT, _QUIET)
        image.paste(one, (column, top))
    _write(ink, paragraphs, typeface, top=top + left.height + _MARGIN, right=width - _MARGIN)
    return image


def films(
    reduced: ReducedFilm, film: ReportedFilm, language: Language, *, shown: overlay.Overlay = overlay.FINDINGS
) -> tuple[Image.Image, Image.Image]:
    """Return a film in the size of the picture, without and with an overlay."""
    picture = Image.fromarray(reduced.gray).convert("RGB")
    x, y = picture.width / reduced.columns, picture.height / reduced.rows
    drawing = Drawing(film=picture, x=x, y=y, typeface=typeface_of(language), text=TEXT)
    shown.draw(drawing, film, language)
    return picture, drawing.finished()


def model_lines(film: ReportedFilm, language: Language) -> list[str]:
    """Return the models that read a film, and those of a cascade that failed."""
    prediction = film.reading.prediction
    if prediction is None:
        return []
    models = language.phrases.list_separator.join(named(model) for model in prediction.models)
    failures = [failure(step) for step in prediction.failed_steps]
    return [*failures, language.phrases.models.format(models=models)]


def _paragraphs(
    film: ReportedFilm, impression: Impression, language: Language, typeface: Typeface, width: int
) -> Iterator[_Paragraph]:
    """Yield the impression, its findings in the color of their outlines, and the caution at the end."""
    (words,) = impression.films
    room = width - 2 * _MARGIN
    for (number, finding, color), line in zip(overlay.numbered_findings(film.reading), words.findings, strict=True):
        lines = typeface.wrapped(line, room - _BAR - 3 * TEXT, TEXT)
        yield _Paragraph(lines=lines, number=number, finding=finding, color=color)
    for line in words.statements:
        yield _Paragraph(lines=typeface.wrapped(line, room, TEXT))
    for line in filter(None, (*words.remarks, *model_lines(film, language))):
        yield _Paragraph(lines=typeface.wrapped(line, room, TEXT), color=_QUIET)
    yield _Paragraph(lines=typeface.wrapped(impression.notice, room, TEXT), color=_CAUTION)


def _write(
    ink: ImageDraw.ImageDraw, paragraphs: Sequence[_Paragraph], typeface: Typeface, *, top: int, right: int
) -> None:
    for paragraph in paragraphs:
        left = _MARGIN
        if paragraph.finding is not None:
            left += 2 * TEXT
            typeface.write(ink, (_MARGIN, top), str(paragraph.number), TEXT, paragraph.color, bold=True)
            bar(ink, paragraph.finding, paragraph.color, (right - _BAR, top + TEXT // 4, right, top + TEXT * 5 // 4))
        for number, line in enumerate(paragraph.lines):
            color = _INK if paragraph.finding is not None else paragraph.color
            column = left if color == _INK else (_MARGIN + right - typeface.width(line, TEXT)) / 2
            typeface.write(ink, (column, top + number * leading(TEXT)), line, TEXT, color)
        top += paragraph.height


def bar(ink: ImageDraw.ImageDraw, finding: Finding, color: Color, box: tuple[int, int, int, int]) -> None:
    """Draw the score of a finding as a bar from 0 to 1, and its threshold as a line across it."""
    left, top, right, bottom = box
    ink.rectangle(box, fill=(60, 60, 60))
    ink.rectangle((left, top, round(left + (right - left) * finding.score), bottom), fill=color)
    threshold = round(left + (right - left) * finding.operating_point)
    ink.rectangle((threshold - 2, top - 5, threshold + 1, bottom + 5), fill=(255, 255, 255), outline=(0, 0, 0))
