"""From an activation map to the outlines of where it is high. Pure."""

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import Point, Region
from cxr_node.infer import polyline

FRACTION = 0.6
"""How far from the map's median to its highest value the outline is drawn."""

REGIONS = 2
"""At most so many outlines, strongest first."""

SMALLEST = 0.25
"""An outline is left out if it holds less than this share of the activation of the strongest."""

_FINER = 4
_TOLERANCE = 1.5

Mask = npt.NDArray[np.bool_]


class _Corner(NamedTuple):
    row: int
    column: int


def regions(activation: Float32, area: Region) -> tuple[Region, ...]:
    """Return outlines of where `activation` is high, in film coordinates.

    The level lies at FRACTION of the way from the median to the maximum, so it does not depend on the scale of the
    map; outlines follow the map's cells (each refined to 4 x 4 by linear interpolation) and are simplified to one and
    a half of such a cell.

    Parameters
    ----------
    activation
        Shape (map rows, map columns).
    area
        The rectangle of the film that the map covers.
    """
    fine = _refined(activation)
    level = np.median(fine) + FRACTION * (fine.max() - np.median(fine))
    if not fine.max() > np.median(fine):
        return ()
    parts = _components(fine >= level)
    strengths = [float((fine[part] - np.median(fine)).sum()) for part in parts]
    ranked = sorted(zip(strengths, range(len(parts)), strict=True), key=lambda pair: (-pair[0], pair[1]))
    kept = [parts[number] for strength, number in ranked[:REGIONS] if strength >= SMALLEST * ranked[0][0]]
    return tuple(Region(outline=_outline(part, area)) for part in kept)


def center(region: Region) -> Point:
    """Return the middle of the box around a region, as (column, row)."""
    across = [column for column, _ in region.outline]
    down = [row for _, row in region.outline]
    return (min(across) + max(across)) / 2, (min(down) + max(down)) / 2


def _refined(activation: Float32) -> npt.NDArray[np.float64]:
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
    """Return the parts of a mask that hang together by sides, each as a mask."""
    left = mask.copy()
    parts: list[Mask] = []
    for row, column in zip(*np.nonzero(mask), strict=True):
        if left[row, column]:
            parts.append(_grown(left, _Corner(int(row), int(column))))
    return parts


def _grown(left: Mask, seed: _Corner) -> Mask:
    """Take the part that holds `seed` out of `left` and return it."""
    part = np.zeros_like(left)
    waiting = deque([seed])
    left[seed] = False
    while waiting:
        row, column = waiting.popleft()
        part[row, column] = True
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= near[0] < left.shape[0] and 0 <= near[1] < left.shape[1]
            if inside and left[near]:
                left[near] = False
                waiting.append(_Corner(*near))
    return part


def _outline(part: Mask, area: Region) -> tuple[Point, ...]:
    """Return the outer border of a part that hangs together, in film coordinates, clockwise."""
    (left, top), _, (right, bottom), _ = area.outline
    across, down = (right - left) / part.shape[1], (bottom - top) / part.shape[0]
    return tuple((left + column * across, top + row * down) for row, column in _simplified(_border(part)))


def _border(part: Mask) -> list[_Corner]:
    """Walk round the part with the part on the right hand, from its uppermost left cell."""
    padded = np.pad(part, 1)
    row, column = (int(value) for value in np.argwhere(part)[0])
    start = here = _Corner(row, column)
    direction = (0, 1)
    corners = []
    while True:
        corners.append(here)
        here = _Corner(here.row + direction[0], here.column + direction[1])
        if here == start:
            return corners
        direction = _turned(padded, here, direction)


def _turned(padded: Mask, here: _Corner, direction: tuple[int, int]) -> tuple[int, int]:
    """Return the next direction at a corner: right where the part ends, left where it goes on before us."""
    down, across = direction
    right = (across, -down)
    ahead_left = _cell(padded, here, direction, (-right[0], -right[1]))
    ahead_right = _cell(padded, here, direction, right)
    if not ahead_right:
        return right
    return (-right[0], -right[1]) if ahead_left else direction


def _cell(padded: Mask, here: _Corner, ahead: tuple[int, int], side: tuple[int, int]) -> bool:
    """Return whether the cell ahead of a corner, on one side of the way, belongs to the part."""
    row = here.row + (ahead[0] + side[0] - 1) // 2 + 1
    column = here.column + (ahead[1] + side[1] - 1) // 2 + 1
    return bool(padded[row, column])


def _simplified(corners: list[_Corner]) -> list[tuple[float, float]]:
    """Leave out corners of a closed line that lie within the tolerance of it."""
    (kept,) = polyline.thinned_loops([np.array(corners, np.float64)], _TOLERANCE)
    return [(float(row), float(column)) for row, column in kept]
