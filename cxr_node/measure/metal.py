"""Detects metal: objects brighter than their surroundings, with edges sharper than any organ's. Pure.

Thin catheters are missed: half a millimeter of steel is no brighter than a rib.
"""

from dataclasses import dataclass
from typing import cast

import contourpy
import numpy as np

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.geometry import fill_with_border, polygon_area
from cxr_node.domain.radiograph import Float32
from cxr_node.measure.borders import sample
from cxr_node.measure.densities import Anchors
from cxr_node.measure.grid import Grid, Mask, Points

_SMALL, _LARGE = 9, 61
"""Widths in grid pixels, 7 and 50 mm, below which something bright counts as an object and not as the body."""
_OVER_SMALL, _OVER_LARGE = 0.8, 0.4
"""Least excess over the surroundings, as a share of the film's step from lung to heart."""
_BRIGHT = 0.8
"""Least brightness, from the film's lung (0) to its heart (1)."""
_MIN_MARKER_AREA, _MIN_SMALL_AREA, _MIN_LARGE_AREA = 14.0, 40.0, 500.0
_STEEP = 0.075
"""Least mean slope along the outline of a large object, per pixel, as a share of the step: no organ ends so sharply."""
_WALL = 5
_MAX_OBJECTS = 24
_MARGIN = 13
"""Width in grid pixels, 10 mm, of the film's margin. What lies wholly within it is the border of a scan or shutter."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetalObject:
    """A bright object: its `outline` (n, 2) on the grid, and whether it lies beside the patient's chest."""

    outline: Points
    is_marker: bool


def find_metal(grid: Grid, anchors: Anchors) -> tuple[Mask, tuple[MetalObject, ...]]:
    """Return the mask of metal and its objects, largest first, at most 24."""
    step = anchors.heart - anchors.lung
    lungs = grid.mask(Anatomy.RIGHT_LUNG) | grid.mask(Anatomy.LEFT_LUNG)
    bright = grid.brightness > anchors.lung + _BRIGHT * step
    small = bright & (grid.brightness - opening(grid.brightness, _SMALL) > _OVER_SMALL * step)
    large = bright & (grid.brightness - _coarse_opening(grid.brightness) > _OVER_LARGE * step) & _in_lungs(grid)
    outlines = [outline for outline in trace(large & ~small) if polygon_area(outline) >= _MIN_LARGE_AREA]
    if outlines:
        slope = np.hypot(*np.gradient(grid.brightness)) / step
        outlines = [outline for outline in outlines if float(sample(slope, outline).mean()) >= _STEEP]
    outlines += [
        outline
        for outline in trace(small)
        if not _is_border(outline, bright.shape)
        and (
            (area := polygon_area(outline)) >= _MIN_SMALL_AREA
            or (area >= _MIN_MARKER_AREA and _is_beside(lungs, outline))
        )
    ]
    largest = sorted(outlines, key=polygon_area, reverse=True)[:_MAX_OBJECTS]
    mask = np.zeros(bright.shape, np.bool_)
    for outline in largest:
        mask |= fill_with_border(outline, bright.shape)
    mask &= bright
    return mask, tuple(MetalObject(outline=outline, is_marker=_is_beside(lungs, outline)) for outline in largest)


def opening(brightness: Float32, width: int) -> Float32:
    """Return the morphological opening of `brightness`: bright structures narrower than `width` are removed."""
    return -_minimum_filter(-_minimum_filter(brightness, width), width)


def _coarse_opening(brightness: Float32) -> Float32:
    """Return the opening at the width of a large object, computed on every second pixel."""
    coarse = opening(np.ascontiguousarray(brightness[::2, ::2]), _LARGE // 2)
    rows, columns = brightness.shape
    return np.repeat(np.repeat(coarse, 2, 0), 2, 1)[:rows, :columns]


def _minimum_filter(values: Float32, width: int) -> Float32:
    """Return the minimum over squares of `width`; edge pixels are repeated beyond the film."""
    margin = width // 2
    for axis in (0, 1):
        first, last = np.take(values, [0], axis), np.take(values, [-1], axis)
        line = np.concatenate([np.repeat(first, margin, axis), values, np.repeat(last, margin, axis)], axis)
        reach = 1
        while reach < width:
            step = min(reach, width - reach)
            ahead = line[step:] if axis == 0 else line[:, step:]
            behind = line[:-step] if axis == 0 else line[:, :-step]
            line = np.minimum(ahead, behind)
            reach += step
        values = line
    return values


def trace(mask: Mask) -> list[Points]:
    """Return the outer and inner outlines of a mask."""
    if not mask.any():
        return []
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = int(rows[0]), int(columns[0])
    part = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.float64), 1)
    x, y = (np.arange(size) - 0.5 + start for size, start in ((part.shape[1], left), (part.shape[0], top)))
    lines = cast("list[Points]", contourpy.contour_generator(x, y, part).lines(0.5))
    return [line[:-1] for line in lines if len(line) > 3]


def _in_lungs(grid: Grid) -> Mask:
    """Return the lungs without a margin along the chest wall."""
    inside = np.zeros(grid.brightness.shape, np.bool_)
    for lung in (Anatomy.RIGHT_LUNG, Anatomy.LEFT_LUNG):
        mask = grid.mask(lung)
        inside |= mask & np.roll(mask, _WALL, 1) & np.roll(mask, -_WALL, 1) & np.roll(mask, -_WALL, 0)
    return inside


def _is_border(outline: Points, shape: tuple[int, ...]) -> bool:
    """Whether an outline lies wholly within the margin of the film: a bright border, or the inner line of one."""
    columns, rows = outline.T
    depths = np.minimum.reduce((columns, rows, shape[1] - columns, shape[0] - rows))
    return bool(depths.max() <= _MARGIN)


def _is_beside(lungs: Mask, outline: Points) -> bool:
    """Whether an object's center lies neither over a lung nor between the two."""
    column, row = outline.mean(0)
    at = np.flatnonzero(lungs[min(int(row), len(lungs) - 1)])
    return not len(at) or bool(column < at[0] or column > at[-1])
