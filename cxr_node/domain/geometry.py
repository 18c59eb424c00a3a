"""Pixel coordinates: area, centroid and mask of polygons, point in polygon, turned and mirrored pictures. Pure.

One convention for all of them. A point is (column, row), with (0, 0) the upper left corner of the upper left pixel, as
in SCOORD (PS3.3 section C.18.6.1.1). The center of the pixel in row i and column j is therefore (j + 0.5, i + 0.5).
A polygon is a closed line of at least three points, the first not repeated. The even-odd rule says what is inside.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Mask = npt.NDArray[np.bool_]
"""Shape (rows, columns): True inside."""
_Float64 = npt.NDArray[np.float64]
_Pixel = TypeVar("_Pixel", bound=np.generic)
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
    toggle_with_border(mask, polygon)
    return mask


def toggle_with_border(mask: Mask, polygon: Polygon) -> None:
    """Toggle the pixels of `fill_with_border` in a mask: only its bounding box is drawn, for ribs have many parts."""
    points = np.asarray(polygon, np.float64) - 0.5  # Pillow's pixel centers are whole numbers
    left, top, right, bottom = _bounds(points, mask.shape, beyond=2)
    if right > left and bottom > top:
        image = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(image).polygon((points - (left, top)).ravel().tolist(), fill=1)
        mask[top:bottom, left:right] ^= np.asarray(image).view(np.bool_)


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight positions of a picture: how its pixels become those of the picture as it should hang.

    The picture is transposed first (rows become columns), then its columns and its rows are reversed. The default
    changes nothing. Points are at the corners of pixels, as everywhere in this module, so (column, row) becomes
    (columns - column, row) where columns are reversed, and centers of pixels become centers.
    """

    transposed: bool = False
    columns_reversed: bool = False
    rows_reversed: bool = False

    @classmethod
    def of_directions(cls, row: str, column: str) -> Self | None:
        """Return how a picture of these directions becomes L and F; None if they are not of a frontal view.

        `row` is the direction of rows and `column` that of columns, by their first letters (PS3.3 section
        C.7.6.1.1.1): L or R for the one and F or H for the other.
        """
        across, down = row[:1], column[:1]
        if across in ("L", "R") and down in ("F", "H"):
            return cls(False, across == "R", down == "H")
        if across in ("F", "H") and down in ("L", "R"):
            return cls(True, down == "R", across == "H")
        return None

    @classmethod
    def clockwise(cls, quarter_turns: int) -> Self:
        """Return the rotation by quarter turns, clockwise as the picture is seen."""
        return (cls(), cls(True, True, False), cls(False, True, True), cls(True, False, True))[quarter_turns % 4]

    @property
    def inverse(self) -> "Orientation":
        """The orientation that undoes this one."""
        if self.transposed:
            return Orientation(True, self.rows_reversed, self.columns_reversed)
        return self

    @property
    def rotation_and_flip(self) -> tuple[int, bool]:
        """The same as clockwise degrees, and whether a horizontal flip follows (PS3.3 section C.10.6)."""
        mirrored = self.transposed ^ self.columns_reversed ^ self.rows_reversed
        turned = {False: (0, 180), True: (90, 270)}[self.transposed]
        return turned[self.rows_reversed], mirrored

    def shape(self, rows: int, columns: int) -> tuple[int, int]:
        """Return the rows and columns that a picture of this size gets."""
        return (columns, rows) if self.transposed else (rows, columns)

    def of_pixels(self, pixels: npt.NDArray[_Pixel]) -> npt.NDArray[_Pixel]:
        """Return the reoriented pixels, shape (rows, columns): a view of `pixels`."""
        turned = pixels.T if self.transposed else pixels
        return turned[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]

    def of_points(
        self, points: Iterable[tuple[float, float]], *, rows: int, columns: int
    ) -> tuple[tuple[float, float], ...]:
        """Return the reoriented points (column, row) of a picture of `rows` and `columns`, in the same order."""
        height, width = self.shape(rows, columns)
        swapped = ((row, column) for column, row in points) if self.transposed else points
        return tuple(
            (width - column if self.columns_reversed else column, height - row if self.rows_reversed else row)
            for column, row in swapped
        )
