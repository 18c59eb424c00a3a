"""Marks on a film: lead letters, annotations, and the edge of the collimated field."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cxr_node.domain.film_geometry import View

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Marks:
    """`lead` (rows, columns): share of each pixel that a mark covers, 0 to 1; `white`: their brightness.

    `field` (rows, columns) is 1 inside the collimated field and 0 outside; `shutter`: the
    modality blackened the area outside.
    """

    lead: Float32
    white: float
    field: Float32 | None
    shutter: bool


def draw(view: View, rows: int, columns: int, generator: np.random.Generator, *, erect: bool) -> Marks:
    """Return the marks of one film; a letter marks its side of the patient."""
    canvas = Image.new("L", (columns, rows))
    scale = columns / 512
    if generator.random() < 0.92:
        _letter(canvas, view, scale, generator)
    if view is View.AP and generator.random() < 0.45:
        words = ["AP", "PORTABLE"] + ([] if erect else ["SUPINE"])
        x, y = generator.uniform(0.04, 0.75), generator.uniform(0.02, 0.12)
        for word in words[: int(generator.integers(1, 4))]:
            _stamp(canvas, word, (x * columns, y * rows), 9 * scale, angle=0)
            y += 0.045
    field, shutter = _collimation(rows, columns, generator)
    lead: Float32 = np.asarray(canvas).astype(np.float32) / np.float32(255)
    return Marks(lead=lead, white=float(generator.uniform(0.85, 1.0)), field=field, shutter=shutter)


def _letter(canvas: Image.Image, view: View, scale: float, generator: np.random.Generator) -> None:
    left = generator.random() < 0.85 or view is View.LATERAL
    across = generator.uniform(0.86, 0.95) if left and view is not View.LATERAL else generator.uniform(0.04, 0.14)
    at = (across * canvas.width, generator.uniform(0.03, 0.22) * canvas.height)
    size, angle = generator.uniform(11, 24) * scale, float(generator.normal(0, 14))
    style = generator.random()
    if style < 0.2:
        radius = 0.75 * size
        box = (at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius)
        ImageDraw.Draw(canvas).ellipse(box, outline=255, width=max(1, round(1.5 * scale)))
        size *= 0.7
    elif style < 0.4:
        box = (at[0] - 0.5 * size, at[1] - 1.9 * size, at[0] + 0.4 * size, at[1] - 0.9 * size)
        ImageDraw.Draw(canvas).ellipse(box, fill=210)
    _stamp(canvas, "L" if left else "R", at, size, angle=angle)
    if generator.random() < 0.5:
        initials = "".join(generator.choice(list("ABCDEGJKMPRST"), 2))
        _stamp(canvas, initials, (at[0], at[1] + 0.9 * size), 0.5 * size, angle=angle)


def _stamp(canvas: Image.Image, text: str, at: tuple[float, float], size: float, *, angle: float) -> None:
    font = ImageFont.load_default(max(6.0, size))
    left, top, right, bottom = font.getbbox(text, stroke_width=1)
    pad = int(max(right - left, bottom - top))
    patch = Image.new("L", (int(right - left) + pad, int(bottom - top) + pad))
    ImageDraw.Draw(patch).text(
        (pad / 2 - left, pad / 2 - top), text, fill=255, font=font, stroke_width=0 if size < 12 else 1
    )
    patch = patch.rotate(angle, resample=Image.Resampling.BICUBIC)
    canvas.paste(255, (int(at[0] - patch.width / 2), int(at[1] - patch.height / 2)), patch)


def _collimation(rows: int, columns: int, generator: np.random.Generator) -> tuple[Float32 | None, bool]:
    if generator.random() < 0.55:
        return None, False
    edges = np.maximum(generator.normal(0.0, 0.028, 4), -0.01)
    tilt = float(generator.normal(0, 0.008))
    x = np.linspace(0, 1, columns, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    u, v = x + tilt * (y - 0.5), y - tilt * (x - 0.5)
    near = np.minimum(np.minimum(u - edges[0], 1 - edges[1] - u), np.minimum(v - edges[2], 1 - edges[3] - v))
    field: Float32 = np.clip(near * columns / 2.0 + 0.5, 0, 1).astype(np.float32)
    return field, bool(generator.random() < 0.82)
