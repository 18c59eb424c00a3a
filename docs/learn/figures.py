"""Phantoms, readings and figures that the chapters of the course share."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

import cxr_node
from cxr_node.domain.film_geometry import View
from cxr_node.phantom.film import film
from cxr_node.phantom.pathology import Pathology
from cxr_node.phantom.thorax import Pose
from cxr_node.phantom.truth_types import PhantomFilm
from cxr_node.report.languages.registry import ENGLISH
from cxr_node.report.pictures.typeface import typeface_of

SEED = 51
"""The patient of the course."""
SIZE = 384
"""Rows and columns of a phantom of the course."""
COLORS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0))
_TEXT, _LINE, _GAP = 15, 22, 8
_INK, _PAPER = (30, 30, 30), (255, 255, 255)


@dataclass(frozen=True)
class Picture:
    """A picture with its caption; a notebook shows it."""

    image: Image.Image
    caption: str

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.image.save(file, "PNG", optimize=True)
        return file.getvalue()


@cache
def phantom(
    seed: int = SEED,
    *pathology: Pathology,
    view: View = View.PA,
    breath: float = 0.9,
    rotation_deg: float = 0.0,
    size: int = SIZE,
) -> PhantomFilm:
    """Return a phantom, which stands; the same arguments give the same film."""
    pose = Pose(breath=breath, rotation_deg=rotation_deg)
    return film(seed=seed, view=view, rows=size, columns=size, pathology=pathology, erect=True, pose=pose)


@cache
def reading(shown: PhantomFilm) -> cxr_node.ChestFilm:
    """Return the reading of a phantom by the built-in bundle."""
    truth = shown.truth
    return cxr_node.read(
        shown.p_values,
        view=truth.view,
        pixel_spacing_mm=truth.imager_pixel_spacing_mm,
        age_years=int(truth.anatomy.age),
    )


def pictures(
    images: Mapping[str, npt.NDArray[Any] | Image.Image],
    caption: str,
    *,
    masks: Sequence[Mapping[str, npt.NDArray[np.bool_]]] = (),
    columns: int = 3,
) -> Picture:
    """Return images side by side with a title above each.

    Parameters
    ----------
    images
        By title: a picture, or gray values as uint8, uint16, or floats from 0.0 black to 1.0 white.
    masks
        For each image, the structures to outline, by name; each name has one color in all images.
    """
    tiles = [_rgb(image) for image in images.values()]
    names = list(dict.fromkeys(name for each in masks for name in each))
    colors = {name: COLORS[number % len(COLORS)] for number, name in enumerate(names)}
    for number, outlined in enumerate(masks):
        tiles[number] = _outlined(tiles[number], outlined, colors)
    width, height = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    across = min(columns, len(tiles))
    down = -(-len(tiles) // across)
    # Text is as large beside large images as beside three films in a row.
    scale = max(1.0, across * width / (3 * SIZE))
    line, size = round(_LINE * scale), round(_TEXT * scale)
    legend = line if names else 0
    canvas = Image.new("RGB", (across * (width + _GAP) - _GAP, down * (height + line + _GAP) + legend), _PAPER)
    ink, typeface = ImageDraw.Draw(canvas), typeface_of(ENGLISH)
    for number, (title, tile) in enumerate(zip(images, tiles, strict=True)):
        left, top = number % across * (width + _GAP), number // across * (height + line + _GAP)
        typeface.write(ink, (left + 2, top), title, size, _INK)
        canvas.paste(tile, (left, top + line))
    at = 2.0
    for name, color in colors.items():
        box = (at, canvas.height - 16 * scale, at + 12 * scale, canvas.height - 4 * scale)
        ink.rectangle(box, fill=color, outline=_INK)
        typeface.write(ink, (at + 18 * scale, canvas.height - line), name, size, _INK)
        at += typeface.width(name, size) + 40 * scale
    return Picture(canvas, caption)


def curves(
    lines: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    caption: str,
    *,
    across: str,
    up: str,
    marks: Mapping[str, float] | None = None,
) -> Picture:
    """Return curves, each by its name with its values across and up; `marks` are named places across."""
    figure = Figure(figsize=(7.6, 3.2), dpi=100, layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, (name, (x, y)) in enumerate(lines.items()):
        axes.plot(x, y, label=name, color=np.array(COLORS[number % len(COLORS)]) / 255, linewidth=2)
    for name, x in (marks or {}).items():
        axes.axvline(x, color="0.4", linewidth=1, linestyle="--")
        axes.annotate(
            name, (x, 0.98), xycoords=("data", "axes fraction"), rotation=90, va="top", ha="right", fontsize=8
        )
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(visible=True, color="0.9")
    if len(lines) > 1:
        axes.legend(frameon=False)
    canvas.draw()
    return Picture(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"), caption)


def _rgb(image: npt.NDArray[Any] | Image.Image) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if image.dtype == np.uint16:
        image = image / 65535
    if image.dtype != np.uint8:
        image = np.rint(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)
    return Image.fromarray(image).convert("RGB")


def _outlined(
    tile: Image.Image, masks: Mapping[str, npt.NDArray[np.bool_]], colors: Mapping[str, tuple[int, int, int]]
) -> Image.Image:
    pixels = np.array(tile)
    for name, mask in masks.items():
        inner = mask.copy()
        for _ in range(2):
            inner[1:-1, 1:-1] &= inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
        pixels[mask & ~inner] = colors[name]
    return Image.fromarray(pixels)
