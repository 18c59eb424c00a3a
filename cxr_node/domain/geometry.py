"""Polygons in pixel coordinates: area, centroid, point in polygon, fill to a mask. Pure.

One convention for all of them. A point is (column, row), with (0, 0) the upper left corner of the upper left pixel, as
in SCOORD (PS3.3 section C.18.6.1.1). The center of the pixel in row i and column j is therefore (j + 0.5, i + 0.5).
A polygon is a closed line of at least three points, the first not repeated. The even-odd rule says what is inside.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Mask = npt.NDArray[np.bool_]
"""Shape (rows, columns): True inside."""
_Float64 = npt.NDArray[np.float64]
Polygon = Sequence[tuple[float, float]] | _Float64
"""Points as pairs, or as an array of shape (points, 2)."""


def polygon_area(polygon: Polygon) -> float:
    """Return the area inside a polygon in square pixels."""
    points = np.asarray(polygon, np.float64)
    return abs(float(_cross_products(points - points[0]).sum())) / 2


def polygon_centroid(polygon: Polygon) -> tuple[float, float]:
    """Return the center of gravity of a polygon whose area is not 0; it may lie outside a concave one."""
    points = np.asarray(polygon, np.float64)
    offsets = points - points[0]
    products = _cross_products(offsets)
    column, row = points[0] + products @ (offsets[:-1] + offsets[1:]) / (3 * products.sum())
    return float(column), float(row)


def _cross_products(offsets: _Float64) -> _Float64:
    """Return twice the signed areas between edges and the first point, to which `offsets` are relative.

    Relative, so that no digits are lost far from the origin; the closing edge then contributes nothing.
    """
    columns, rows = offsets.T
    products: _Float64 = columns[:-1] * rows[1:] - columns[1:] * rows[:-1]
    return products


def is_inside(point: tuple[float, float], polygon: Polygon) -> bool:
    """Whether a point lies inside a polygon."""
    column, row = point
    inside = False
    for a, b in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        crosses = (a[1] > row) != (b[1] > row)
        if crosses and column < (b[0] - a[0]) * (row - a[1]) / (b[1] - a[1]) + a[0]:
            inside = not inside
    return inside


def fill(polygons: Iterable[Polygon], shape: tuple[int, ...]) -> Mask:
    """Return the pixels of an image of `shape` (rows, columns) whose centers lie inside the polygons together.

    A center exactly on an edge is inside at the left and upper edge only, so adjacent polygons share no pixel.
    """
    mask = np.zeros(shape, np.bool_)
    top, band = fill_band(polygons, shape)
    mask[top : top + len(band)] = band
    return mask


def fill_band(polygons: Iterable[Polygon], shape: tuple[int, ...], *, align: int = 1) -> tuple[int, Mask]:
    """Return `fill` of only the rows that the polygons reach, after the index of the first, a multiple of `align`."""
    corners = [np.asarray(polygon, np.float64) for polygon in polygons]
    if not corners:
        return 0, np.zeros((0, shape[1]), np.bool_)
    # Only the bounding box is filled: a small part of a film for most of the anatomy.
    left, top, right, bottom = _bounds(np.concatenate(corners), shape)
    top -= top % align
    # An edge toggles every pixel right of it: the running parity along a row is the mask.
    toggles = np.zeros((bottom - top, right - left + 1), np.bool_)
    for polygon in corners:
        _toggle(toggles, polygon, left, top)
    band = np.zeros((bottom - top, shape[1]), np.bool_)
    band[:, left:right] = np.logical_xor.accumulate(toggles, axis=1, out=toggles)[:, :-1]
    return top, band


def _bounds(points: _Float64, shape: tuple[int, ...], *, beyond: int = 0) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the whole pixels around `points`, within the image."""
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    rows, columns = shape
    return (
        min(max(math.floor(left), 0), columns),
        min(max(math.floor(top), 0), rows),
        min(max(math.ceil(right) + beyond, 0), columns),
        min(max(math.ceil(bottom) + beyond, 0), rows),
    )


def _toggle(toggles: Mask, starts: _Float64, left: int, top: int) -> None:
    """Toggle the first pixel right of each edge, in each row whose center line the edge crosses.

    `toggles` begins at column `left` and row `top` of the image.
    """
    height, last_column = toggles.shape[0], toggles.shape[1] - 1
    ends = np.concatenate([starts[1:], starts[:1]])
    # Rows whose center line lies at or below each corner: an edge crosses those between its two corners' numbers.
    below = np.ceil(starts[:, 1] - 0.5).clip(top, top + height).astype(np.int64)
    below_end = np.concatenate([below[1:], below[:1]])
    first = np.minimum(below, below_end)
    counts = np.abs(below_end - below)
    edges = np.arange(len(starts)).repeat(counts)
    rows = np.arange(len(edges)) + (first - counts.cumsum() + counts)[edges]
    start, along = starts[edges], (ends - starts)[edges]
    # In this order and relative to the image: a pixel on an edge is inside by the last digit, and results keep UIDs.
    crossings = start[:, 0] + (rows + 0.5 - start[:, 1]) * (along[:, 0] / along[:, 1])
    columns = (np.ceil(crossings - 0.5) - left).clip(0, last_column).astype(np.int64)
    np.logical_xor.at(toggles, (rows - top, columns), True)


def fill_with_border(polygon: Polygon, shape: tuple[int, ...]) -> Mask:
    """Return the pixels inside one polygon and those that its border runs through, as Pillow draws it.

    Pillow takes whole-numbered corners and draws the border too. A mask reaches up to one pixel further left and up
    than `fill`. The measurements' limits and reference ranges were determined with it.
    """
    mask = np.zeros(shape, np.bool_)
    points = np.asarray(polygon, np.float64) - 0.5  # Pillow's pixel centers are whole numbers
    # Only the bounding box is filled: ribs come in dozens of small parts.
    left, top, right, bottom = _bounds(points, shape, beyond=2)
    if right > left and bottom > top:
        image = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(image).polygon((points - (left, top)).ravel().tolist(), fill=1)
        mask[top:bottom, left:right] = np.asarray(image).view(np.bool_)
    return mask
