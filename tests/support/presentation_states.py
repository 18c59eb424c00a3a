"""Presentation states drawn over their film from the object alone, as a viewer does that knows graphic layers."""

from collections.abc import Iterator

import numpy as np
from highdicom.color import CIELabColor
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

_SCALE = 2
"""Pixels of the drawing for one of the film."""


def drawn_state(state: Dataset, film: Dataset) -> Image.Image:
    """Return the film in gray with the graphics and texts of each layer in the color that the layer recommends."""
    gray = film.pixel_array.astype(np.float64)
    gray = (gray - gray.min()) / max(float(np.ptp(gray)), 1.0) * 255
    size = film.Columns * _SCALE, film.Rows * _SCALE
    picture = Image.fromarray(gray.astype(np.uint8)).resize(size).convert("RGB")
    ink = ImageDraw.Draw(picture)
    colors = {
        str(layer.GraphicLayer): CIELabColor.from_dicom_value(layer.GraphicLayerRecommendedDisplayCIELabValue)
        for layer in state.GraphicLayerSequence
    }
    by_color = [
        (one, tuple(int(part) for part in colors[str(one.GraphicLayer)].to_rgb(clip=True)))
        for one in state.GraphicAnnotationSequence
    ]
    for annotation, color in by_color:
        for points in _lines(annotation):
            ink.line(points, fill=color, width=_SCALE)
    font = ImageFont.load_default(size=size[1] / 60)
    for annotation, color in by_color:
        for corner, words in _texts(annotation, size):
            ink.rectangle(ink.multiline_textbbox(corner, words, font=font), fill="black")
            ink.multiline_text(corner, words, fill=color, font=font)
    return picture


def _lines(annotation: Dataset) -> Iterator[list[tuple[float, float]]]:
    for graphic in annotation.get("GraphicObjectSequence", ()):
        flat = [float(part) * _SCALE for part in graphic.GraphicData]
        yield list(zip(flat[0::2], flat[1::2], strict=True))


def _texts(annotation: Dataset, size: tuple[int, int]) -> Iterator[tuple[tuple[float, float], str]]:
    """Yield the upper left corner and the lines of each text; the font has no space without a line break."""
    for text in annotation.get("TextObjectSequence", ()):
        left, top = (float(part) for part in text.get("BoundingBoxTopLeftHandCorner") or text.AnchorPoint)
        is_relative = text.get("BoundingBoxAnnotationUnits") == "DISPLAY"
        corner = (left * size[0], top * size[1]) if is_relative else (left * _SCALE, top * _SCALE)
        yield corner, str(text.UnformattedTextValue).replace("\r\n", "\n").replace("\N{NO-BREAK SPACE}", " ")
