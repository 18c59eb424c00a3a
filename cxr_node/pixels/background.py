"""Background masks of a film: pixel padding at the border, and the area outside the display shutter."""

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from cxr_node.domain.geometry import fill
from cxr_node.pixels import elements
from cxr_node.pixels.decoding import Cells
from cxr_node.pixels.description import Description
from cxr_node.pixels.grayscale import stored_values

Mask = npt.NDArray[np.bool_]

_LARGEST_TABLE_BITS = 16
_MAX_SWEEPS = 16
_MIN_OPEN = 0.02
"""A shutter that leaves less of the film open than this share is ignored as an error."""
_CORNERS = range(3, 1001)
_MARGIN = 1e-6
"""Pixels; far below the distance of an edge to a center that it does not meet."""


def padding(dataset: Dataset, cells: Cells, description: Description) -> Mask | None:
    """Return the mask of padding: pixels of the padding value that are connected to the border.

    Pixel Padding Value (0028,0120) and Range Limit (0028,0121), PS3.3 section C.7.5.1.1.2. The same value inside the
    film may be a real measurement, so only the part connected to the border (4-connected) counts. None for none.
    """
    if description.bits_allocated > _LARGEST_TABLE_BITS:
        return None
    keywords = ("PixelPaddingValue", "PixelPaddingRangeLimit")
    ends = [value for keyword in keywords if (value := elements.number(dataset, keyword)) is not None]
    if not ends or not elements.present(dataset, "PixelPaddingValue"):
        return None
    if description.is_signed:
        ends = [elements.signed(value) for value in ends]
    stored = stored_values(np.arange(1 << description.bits_allocated), description)
    return connected_to_border(((stored >= min(ends)) & (stored <= max(ends)))[cells])


def connected_to_border(mask: Mask) -> Mask | None:
    """Return the part of `mask` that is connected to the border, 4-connected; None for none."""
    reached = np.zeros_like(mask)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        reached[edge] = mask[edge]
    before = -1
    for _ in range(_MAX_SWEEPS):  # each sweep follows one more corner; no collimator has sixteen
        count = int(np.count_nonzero(reached))
        if count == before:
            break
        before = count
        _sweep(reached, mask)
        _sweep(reached.T, mask.T)
    return reached if before > 0 else None


def _sweep(reached: Mask, mask: Mask) -> None:
    for at in range(1, len(mask)):
        reached[at] |= reached[at - 1] & mask[at]
    for at in range(len(mask) - 2, -1, -1):
        reached[at] |= reached[at + 1] & mask[at]


def shutter(dataset: Dataset, description: Description) -> Mask | None:
    """Return the area outside the display shutter: PS3.3 section C.7.6.11. None for no usable shutter.

    The open area of several shapes is their intersection. Edges and corners are rows and columns counted from 1; pixels
    on an edge are open. A malformed shape, or one that leaves almost nothing open, is ignored.
    """
    openings = []
    for shape in elements.texts(dataset, "ShutterShape"):
        read = _SHAPES.get(shape.upper())
        opening = read(dataset, description.rows, description.columns) if read is not None else None
        if opening is not None:
            openings.append(opening)
    if not openings:
        return None
    opened: Mask = np.logical_and.reduce(openings)
    if opened.all() or opened.mean() < _MIN_OPEN:
        return None
    return ~opened


def _rectangular(dataset: Dataset, rows: int, columns: int) -> Mask | None:
    edges = ("LeftVertical", "RightVertical", "UpperHorizontal", "LowerHorizontal")
    numbers = [elements.number(dataset, f"Shutter{edge}Edge") for edge in edges]
    stated = [edge for edge in numbers if edge is not None]
    if len(stated) < len(edges):
        return None
    left, right, upper, lower = stated
    row, column = _centers(rows, columns)
    return (column >= left) & (column <= right) & (row >= upper) & (row <= lower)


def _circular(dataset: Dataset, rows: int, columns: int) -> Mask | None:
    center = elements.numbers(dataset, "CenterOfCircularShutter")
    radius = elements.number(dataset, "RadiusOfCircularShutter")
    if len(center) != 2 or np.isnan(center).any() or radius is None or not 0 < radius < rows + columns:
        return None
    row, column = _centers(rows, columns)
    return (row - center[0]) ** 2 + (column - center[1]) ** 2 <= radius**2


def _polygonal(dataset: Dataset, rows: int, columns: int) -> Mask | None:
    vertices = np.array(elements.numbers(dataset, "VerticesOfThePolygonalShutter"))
    if len(vertices) % 2 or len(vertices) // 2 not in _CORNERS or not (np.abs(vertices) < rows + columns).all():
        return None
    # Counted from 1, the corner (1, 1) is the center of the first pixel. Where an edge of whole-numbered corners meets
    # a center, rounding cannot exclude it at the left or include it at the right.
    return fill([vertices.reshape(-1, 2)[:, ::-1] - (0.5 + _MARGIN, 0.5)], (rows, columns))


def _centers(rows: int, columns: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return np.arange(1, rows + 1)[:, None], np.arange(1, columns + 1)[None, :]


_SHAPES = {"RECTANGULAR": _rectangular, "CIRCULAR": _circular, "POLYGONAL": _polygonal}
