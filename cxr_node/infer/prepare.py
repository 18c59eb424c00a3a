"""Prepares a film as network input by the recipe of the card, the same for training and for reading."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.radiograph import WHITE, Float32, Radiograph
from cxr_node.domain.reading import Region
from cxr_node.infer import center_crop, steps
from cxr_node.infer.steps import Steps

RECIPE = "squash-area"
"""The node's own recipe, by its name in a card. A network needs the recipe of its training."""

VALUE_RANGES = {RECIPE: (0.0, 1.0), center_crop.RECIPE: center_crop.VALUE_RANGE}
"""Values of black and white, by recipe."""

DESCRIPTION = (
    "The window of the film, given in shares of its width and height, is reduced to a fixed size by averaging whole "
    "pixels over a grid of equal bins, sides not kept in proportion; P-values 0 (black) to 65535 (white) become 0.0 "
    "to 1.0."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The part of a film that is used, and the size of the network input.

    `left`, `top`, `right` and `bottom` are shares of the film's width and height, 0 to 1. The recipe
    "center-crop-gaussian" ignores them and uses the square in the middle; its rows and columns are equal. `steps` are
    those of the recipe "steps", which ignores them too.
    """

    rows: int
    columns: int
    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    recipe: str = RECIPE
    steps: Steps = steps.DEFAULT


def prepare(film: Radiograph, frame: Frame) -> Float32:
    """Return `film` as network input.

    Returns
    -------
    Float32
        Shape (frame.rows, frame.columns), in the recipe's value range; with more than one channel, only of the recipe
        "steps", (channels, rows, columns).
    """
    if frame.recipe == center_crop.RECIPE:
        return center_crop.prepare(film.p_values, frame.rows)
    if frame.recipe == steps.RECIPE:
        return steps.prepare(film.p_values, frame.rows, frame.columns, frame.steps)
    return _squash(film, frame)


def _squash(film: Radiograph, frame: Frame) -> Float32:
    """Return means over bins.

    The sums are exact in integers, so the result does not depend on the machine. Bins are whole pixels: of a
    3056 x 2544 film at 256 x 256 they are 11 or 12 pixels high, 9 or 10 wide. A smaller film repeats pixels.
    """
    rows, columns = film.p_values.shape
    top, bottom = _edges(frame.top, frame.bottom, rows)
    left, right = _edges(frame.left, frame.right, columns)
    window = film.p_values[top:bottom, left:right]
    row_edges, heights = _bins(bottom - top, frame.rows)
    column_edges, widths = _bins(right - left, frame.columns)
    # One bin of rows at a time: `reduceat` along rows is several times slower. 32 bits hold 65,536 rows.
    bands = np.empty((frame.rows, right - left), np.uint32)
    for band, (first, height) in enumerate(zip(row_edges, heights, strict=True)):
        np.add.reduce(window[first : first + height], axis=0, dtype=np.uint32, out=bands[band])
    sums = np.add.reduceat(bands, column_edges, axis=1, dtype=np.uint64)
    areas = heights[:, None] * widths[None, :]
    shares: Float32 = (sums / (areas * float(WHITE))).astype(np.float32)
    return shares


def analysed_area(film: Geometry, frame: Frame) -> Region:
    """Return the outline of the part that the recipe uses, corners clockwise from the upper left."""
    if frame.recipe == center_crop.RECIPE:
        square = center_crop.square(film.rows, film.columns)
        return _rectangle(square.column, square.row, square.column + square.side, square.row + square.side)
    if frame.recipe == steps.RECIPE:
        return _area_of_steps(film, frame)
    top, bottom = _edges(frame.top, frame.bottom, film.rows)
    left, right = _edges(frame.left, frame.right, film.columns)
    return _rectangle(left, top, right, bottom)


def _area_of_steps(film: Geometry, frame: Frame) -> Region:
    """Return the central crop in pixels of the film, or all of it."""
    if frame.steps.fit != "center-crop":
        return _rectangle(0, 0, film.columns, film.rows)
    height, width = steps.size_before_crop(film.rows, film.columns, frame.rows, frame.columns, frame.steps)
    top, left = steps.crop_offset(height, frame.rows), steps.crop_offset(width, frame.columns)
    down, across = film.rows / height, film.columns / width
    return _rectangle(left * across, top * down, (left + frame.columns) * across, (top + frame.rows) * down)


def _rectangle(left: float, top: float, right: float, bottom: float) -> Region:
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return Region(outline=tuple((float(column), float(row)) for column, row in corners))


def _edges(first: float, last: float, pixels: int) -> tuple[int, int]:
    """Return the first pixel of a window and the one after its last; there is always at least one."""
    start = min(round(first * pixels), pixels - 1)
    return start, max(round(last * pixels), start + 1)


def _bins(pixels: int, count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the first pixel of each of `count` bins over `pixels`, and the number of pixels in each."""
    edges = np.arange(count + 1, dtype=np.intp) * pixels // count
    return edges[:-1], np.maximum(np.diff(edges), 1)
