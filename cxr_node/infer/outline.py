"""Outlines the regions of high activation in a map. Pure."""

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import Point, Region
from cxr_node.infer import polyline

FRACTION = 0.6
"""Level of the outline, from the map's median (0) to its maximum (1)."""

MAX_REGIONS = 2
"""Largest number of outlines, strongest first."""

MIN_SHARE = 0.25
"""A region is dropped if its activation is less than this share of the strongest region's."""

_FINER = 4
_TOLERANCE = 1.5

Mask = npt.NDArray[np.bool_]


class _Corner(NamedTuple):
    row: int
    column: int


def regions(activation: Float32, area: Region) -> tuple[Region, ...]:
    """Return the outlines of high `activation`, in film coordinates.

    The level is relative to median and maximum, so it does not depend on the scale of the map. Outlines follow the
    map's cells, each upsampled to 4 x 4 by linear interpolation, and are simplified to one and a half of such a cell.

    Parameters
    ----------
    activation
        Shape (map rows, map columns).
    area
        The rectangle of the film that the map covers.
    """
    fine = _upsample(activation)
    level = np.median(fine) + FRACTION * (fine.max() - np.median(fine))
    if not fine.max() > np.median(fine):
        return ()
    parts = _components(fine >= level)
    strengths = [float((fine[part] - np.median(fine)).sum()) for part in parts]
    ranked = sorted(zip(strengths, range(len(parts)), strict=True), key=lambda pair: (-pair[0], pair[1]))
    strongest = [parts[number] for strength, number in ranked[:MAX_REGIONS] if strength >= MIN_SHARE * ranked[0][0]]
    return tuple(Region(outline=_outline(part, area)) for part in strongest)


def center(region: Region) -> Point:
    """Return the center of a region's bounding box, as (column, row)."""
    across = [column for column, _ in region.outline]
    down = [row for _, row in region.outline]
    return (min(across) + max(across)) / 2, (min(down) + max(down)) / 2


def _upsample(activation: Float32) -> npt.NDArray[np.float64]:
    """Interpolate between the centers of cells, four times as fine each way."""
    values = activation.astype(np.float64)
    for axis in (0, 1):
        count = values.shape[axis]
        places = np.clip((np.arange(count * _FINER) + 0.5) / _FINER - 0.5, 0, count - 1)
        lower = np.minimum(places.astype(np.intp), max(count - 2, 0))
        upper = np.minimum(lower + 1, count - 1)
        share = (places - lower)[:, None] if axis == 0 else (places - lower)[None, :]
        values = np.take(values, lower, axis) * (1 - share) + np.take(values, upper, axis) * share
    return values


def _components(mask: Mask) -> list[Mask]:
    """Return the 4-connected components of a mask, each as a mask."""
    remaining = mask.copy()
    parts: list[Mask] = []
    for row, column in zip(*np.nonzero(mask), strict=True):
        if remaining[row, column]:
            parts.append(_flood_fill(remaining, _Corner(int(row), int(column))))
    return parts


def _flood_fill(remaining: Mask, seed: _Corner) -> Mask:
    """Remove the component of `seed` from `remaining` and return it."""
    part = np.zeros_like(remaining)
    waiting = deque([seed])
    remaining[seed] = False
    while waiting:
        row, column = waiting.popleft()
        part[row, column] = True
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= near[0] < remaining.shape[0] and 0 <= near[1] < remaining.shape[1]
            if inside and remaining[near]:
                remaining[near] = False
                waiting.append(_Corner(*near))
    return part


def _outline(part: Mask, area: Region) -> tuple[Point, ...]:
    """Return the outer border of a component, in film coordinates, clockwise."""
    (left, top), _, (right, bottom), _ = area.outline
    across, down = (right - left) / part.shape[1], (bottom - top) / part.shape[0]
    return tuple((left + column * across, top + row * down) for row, column in _simplify(_border(part)))


def _border(part: Mask) -> list[_Corner]:
    """Trace the border clockwise, with the component on the right, from its upper left cell."""
    padded = np.pad(part, 1)
    row, column = (int(value) for value in np.argwhere(part)[0])
    start = corner = _Corner(row, column)
    direction = (0, 1)
    corners = []
    while True:
        corners.append(corner)
        corner = _Corner(corner.row + direction[0], corner.column + direction[1])
        if corner == start:
            return corners
        direction = _next_direction(padded, corner, direction)


def _next_direction(padded: Mask, corner: _Corner, direction: tuple[int, int]) -> tuple[int, int]:
    """Return the next direction at a corner: right where the component ends, left where it continues ahead."""
    down, across = direction
    right = (across, -down)
    ahead_left = _cell(padded, corner, direction, (-right[0], -right[1]))
    ahead_right = _cell(padded, corner, direction, right)
    if not ahead_right:
        return right
    return (-right[0], -right[1]) if ahead_left else direction


def _cell(padded: Mask, corner: _Corner, ahead: tuple[int, int], side: tuple[int, int]) -> bool:
    """Whether the cell ahead of a corner, on one side of the direction, belongs to the component."""
    row = corner.row + (ahead[0] + side[0] - 1) // 2 + 1
    column = corner.column + (ahead[1] + side[1] - 1) // 2 + 1
    return bool(padded[row, column])


def _simplify(corners: list[_Corner]) -> list[tuple[float, float]]:
    """Drop corners of a closed line that lie within the tolerance of the result."""
    (simplified,) = polyline.simplify_loops([np.array(corners, np.float64)], _TOLERANCE)
    return [(float(row), float(column)) for row, column in simplified]
