"""Display picture of a film: 8-bit gray, as PNG or JPEG."""

import io

import numpy as np
from PIL import Image

from cxr_node.domain.radiograph import WHITE, Radiograph
from cxr_node.pixels import lookup

_WHITE_8 = 255


def png(film: Radiograph, *, longest_side: int | None = None) -> bytes:
    """Return the film as an 8-bit PNG, 0 black to 255 white, without patient data.

    Neither rotated nor mirrored. Pixels that are not square are resampled to squares, and a film larger than
    `longest_side` pixels is reduced to it by area; otherwise the pixels are the film's own.
    """
    return _encoded(film, "PNG", longest_side)


def jpeg(film: Radiograph, *, longest_side: int) -> bytes:
    """Return the same picture as a JPEG, which takes a fraction of the bytes and is not exact."""
    return _encoded(film, "JPEG", longest_side)


def _encoded(film: Radiograph, form: str, longest_side: int | None) -> bytes:
    to_8_bits = np.rint(np.arange(WHITE + 1) * (_WHITE_8 / WHITE)).astype(np.uint8)
    gray = np.empty(film.p_values.shape, np.uint8)
    for rows in lookup.strips(film.p_values):
        np.take(to_8_bits, film.p_values[rows], out=gray[rows], mode="clip")
    picture = Image.fromarray(gray)
    size = _size(film, longest_side)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, form)
    return buffer.getvalue()


def _size(film: Radiograph, longest_side: int | None) -> tuple[int, int]:
    rows, columns = film.p_values.shape
    height, width = rows * max(film.geometry.aspect_ratio, 1.0), columns * max(1 / film.geometry.aspect_ratio, 1.0)
    scale = min(1.0, longest_side / max(height, width)) if longest_side is not None else 1.0
    return max(1, round(width * scale)), max(1, round(height * scale))
