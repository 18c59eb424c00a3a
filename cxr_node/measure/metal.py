"""Metal: what is brighter than all that is around it, with edges that no organ has. Pure.

Thin catheters are not found: at half a millimeter of steel they are no brighter than a rib.
"""

from dataclasses import dataclass
from typing import cast

import contourpy
import numpy as np

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.geometry import fill_with_border, polygon_area
from cxr_node.domain.radiograph import Float32
from cxr_node.measure.borders import sampled
from cxr_node.measure.densities import Anchors
from cxr_node.measure.grid import Grid, Mask, Points

_SMALL, _LARGE = 9, 61
"""Widths in grid pixels, of 7 and 50 mm, below which something bright is taken for an object and not for the body."""
_OVER_SMALL, _OVER_LARGE = 0.8, 0.4
"""How much brighter than its surroundings, as a share of the film's step from lung to heart."""
_BRIGHT = 0.8
"""How bright, from the film's lung (0) to its heart (1)."""
_LEAST_MARK, _LEAST_SMALL, _LEAST_LARGE = 14.0, 40.0, 500.0
_STEEP = 0.075
"""Least mean slope along the outline of a large object, per pixel, as a share of the step: no organ ends so sharply."""
_WALL = 5
_MOST = 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Object:
    """A bright object: its `outline` (n, 2) on the grid, and whether it lies beside the patient's chest."""

    outline: Points
    is_marker: bool


def find(canvas: Grid, scale: Anchors) -> tuple[Mask, tuple[Object, ...]]:
    """Return where there is metal, and its objects, largest first; at most 24."""
    step = scale.heart - scale.lung
    lungs = canvas.mask(Anatomy.RIGHT_LUNG) | canvas.mask(Anatomy.LEFT_LUNG)
    bright = canvas.brightness > scale.lung + _BRIGHT * step
    small = bright & (canvas.brightness - opened(canvas.brightness, _SMALL) > _OVER_SMALL * step)
    large = bright & (canvas.brightness - _coarsely_opened(canvas.brightness) > _OVER_LARGE * step) & _in_lungs(canvas)
    outlines = [each for each in traced(large & ~small) if polygon_area(each) >= _LEAST_LARGE]
    if outlines:
        slope = np.hypot(*np.gradient(canvas.brightness)) / step
        outlines = [each for each in outlines if _steep(slope, each)]
    outlines += [
        each
        for each in traced(small)
        if (size := polygon_area(each)) >= _LEAST_SMALL or (size >= _LEAST_MARK and _is_beside(lungs, each))
    ]
    kept = sorted(outlines, key=polygon_area, reverse=True)[:_MOST]
    mask = np.zeros(bright.shape, np.bool_)
    for outline in kept:
        mask |= fill_with_border(outline, bright.shape)
    mask &= bright
    return mask, tuple(Object(outline=each, is_marker=_is_beside(lungs, each)) for each in kept)


def _steep(slope: Float32, outline: Points) -> bool:
    return float(sampled(slope, outline).mean()) >= _STEEP


def opened(brightness: Float32, width: int) -> Float32:
    """Return `brightness` without what is narrower than `width`: the darkest around, and of that the brightest."""
    return -_darkest(-_darkest(brightness, width), width)


def _coarsely_opened(brightness: Float32) -> Float32:
    """Return `brightness` without what is narrower than a large object, found on every second pixel."""
    coarse = opened(np.ascontiguousarray(brightness[::2, ::2]), _LARGE // 2)
    rows, columns = brightness.shape
    return np.repeat(np.repeat(coarse, 2, 0), 2, 1)[:rows, :columns]


def _darkest(values: Float32, width: int) -> Float32:
    """Return the minimum over squares of `width`; the film's rim is continued."""
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (width // 2, width // 2)
        line = np.pad(values, padding, mode="edge")
        reach = 1
        while reach < width:
            step = min(reach, width - reach)
            ahead = line[step:] if axis == 0 else line[:, step:]
            behind = line[:-step] if axis == 0 else line[:, :-step]
            line = np.minimum(ahead, behind)
            reach += step
        values = line
    return values


def traced(mask: Mask) -> list[Points]:
    """Return the outer and inner outlines of a mask."""
    if not mask.any():
        return []
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = int(rows[0]), int(columns[0])
    part = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.float64), 1)
    x, y = (np.arange(size) - 0.5 + start for size, start in ((part.shape[1], left), (part.shape[0], top)))
    lines = cast("list[Points]", contourpy.contour_generator(x, y, part).lines(0.5))
    return [line[:-1] for line in lines if len(line) > 3]


def _in_lungs(canvas: Grid) -> Mask:
    """Return the lungs without a rim along the chest wall, and what the clavicles cover of them."""
    inside = np.zeros(canvas.brightness.shape, np.bool_)
    for lung in (Anatomy.RIGHT_LUNG, Anatomy.LEFT_LUNG):
        mask = canvas.mask(lung)
        inside |= mask & np.roll(mask, _WALL, 1) & np.roll(mask, -_WALL, 1) & np.roll(mask, -_WALL, 0)
    return inside


def _is_beside(lungs: Mask, outline: Points) -> bool:
    """Whether an object's middle lies neither over a lung nor between the two."""
    column, row = outline.mean(0)
    at = np.flatnonzero(lungs[min(int(row), len(lungs) - 1)])
    return not len(at) or bool(column < at[0] or column > at[-1])
