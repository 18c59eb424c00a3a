"""Derives the interfaces of a film from masks: points of each border, with the direction into the lung. Pure.

A border counts only where a lung lies beside it. The lines are derived; no model outlines them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.reading import Laterality
from cxr_node.measure.grid import Mask, Points

_BESIDE = 7
"""Largest distance of a lung from a structure that it borders on, in grid pixels."""
_SMOOTH = 9
_KNOB = 0.11
"""Height of the aortic knob as a share of the thorax's width: about 30 mm."""
_CORNER = 0.09
"""Length of the sides of a costophrenic angle, as a share of the thorax's width."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interface:
    """A line on the grid, `points` (n, 2) in order, and `toward` (n, 2), the unit vector from each into the lung."""

    points: Points
    toward: Points

    def __len__(self) -> int:
        return len(self.points)


_NONE = Interface(points=np.zeros((0, 2)), toward=np.zeros((0, 2)))


def smooth(values: Points, window: int = _SMOOTH) -> Points:
    """Return running means of (n, 2) points; the end points are repeated beyond the ends."""
    if len(values) < 3:
        return values
    reach = min(window, len(values)) // 2
    padded = np.concatenate([np.repeat(values[:1], reach, 0), values, np.repeat(values[-1:], reach, 0)])
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
    means: Points = (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1)
    return means


def _along(points: Points, toward: tuple[float, float]) -> Interface:
    """Return the smoothed line with its normals, which point to the side of `toward`."""
    if len(points) < _SMOOTH:
        return _NONE
    line = smooth(points)
    tangent = np.gradient(smooth(line), axis=0)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], 1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    normal *= np.where(normal @ np.asarray(toward) < 0, -1.0, 1.0)[:, None]
    return Interface(points=line, toward=normal)


def _longest(present: Mask, gap: int = 8) -> slice:
    """Return the longest run of True, gaps of up to `gap` bridged; empty where there is none."""
    at = np.flatnonzero(present)
    if len(at) == 0:
        return slice(0, 0)
    breaks = np.flatnonzero(np.diff(at) > gap)
    starts, ends = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(at) - 1]])
    best = int(np.argmax(at[ends] - at[starts]))
    return slice(int(at[starts[best]]), int(at[ends[best]]) + 1)


def _beside(structure: Mask, lung: Mask, side: Laterality, rows: slice) -> Points:
    """Return the outermost points of `structure` on one side, within `rows`, where `lung` lies beside them."""
    flip = side is Laterality.LEFT
    if flip:
        structure, lung = structure[:, ::-1], lung[:, ::-1]
    edges, at = np.argmax(structure, axis=1), np.arange(len(structure))
    near = np.clip(edges[:, None] + np.arange(-_BESIDE, 2), 0, structure.shape[1] - 1)
    borders = structure.any(1) & lung[at[:, None], near].any(1)
    borders[: rows.start] = False
    borders[rows.stop :] = False
    run = _longest(borders)
    at = np.arange(run.start, run.stop)
    at = at[structure[at].any(1)] if len(at) else at
    columns = edges[at].astype(np.float64)
    return np.stack([structure.shape[1] - columns if flip else columns, at + 0.5], 1)


def heart_border(masks: Mapping[Anatomy, Mask], side: Laterality) -> Interface:
    """Return the interface of heart and lung on one side."""
    heart, lung = masks[Anatomy.HEART], masks[_LUNGS[side]]
    points = _beside(heart, lung, side, slice(0, len(heart)))
    return _along(points, (_OUTWARD[side], 0.0))


def hemidiaphragm(masks: Mapping[Anatomy, Mask], side: Laterality) -> Interface:
    """Return the upper edge of a hemidiaphragm, where a lung lies above it and the heart does not cover it."""
    dome, lung = masks[_DOMES[side]], masks[_LUNGS[side]]
    heart = masks.get(Anatomy.HEART)
    columns = np.flatnonzero(lung.any(0))
    if not len(columns) or not dome.any():
        return _NONE
    top = np.argmax(dome, axis=0)
    visible = dome.any(0) & (top > 0)
    visible[: columns[0] + 3] = False
    visible[columns[-1] - 2 :] = False
    if heart is not None:
        # The heart rests on the dome and covers it where it lies just above.
        above = np.clip(top - 4, 0, len(dome) - 1)
        visible &= ~heart[above, np.arange(dome.shape[1])]
    lowest = len(lung) - 1 - np.argmax(lung[::-1], axis=0)
    visible &= lung.any(0) & (np.abs(lowest + 1 - top) < 0.12 * len(columns))
    run = _longest(visible)
    at = np.arange(run.start, run.stop)
    at = at[visible[at]] if len(at) else at
    return _along(np.stack([at + 0.5, top[at].astype(np.float64)], 1), (0.0, -1.0))


def aortic_knob(masks: Mapping[Anatomy, Mask], width: float) -> Interface:
    """Return the left edge of the aortic arch beside the left lung; `width` of the thorax."""
    aorta, lung = masks[Anatomy.AORTA], masks[Anatomy.LEFT_LUNG]
    rows = np.flatnonzero(aorta.any(1))
    if not len(rows):
        return _NONE
    points = _beside(aorta, lung, Laterality.LEFT, slice(int(rows[0]) + 3, int(rows[0] + _KNOB * width) + 1))
    return _along(points, (1.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Corner:
    """Lower outer corner of a lung: `point` (2,), and the lines `wall` and `dome` (n, 2) that meet there."""

    point: Points
    wall: Points
    dome: Points


def find_corner(lung: Mask, side: Laterality, width: float) -> Corner | None:
    """Return the costophrenic angle of a lung, or None if its lines are too short; `width` of the thorax."""
    flipped = lung[:, ::-1] if side is Laterality.LEFT else lung
    rows, columns = np.nonzero(flipped)
    if not len(rows):
        return None
    lowest = int(np.argmax(rows - 0.8 * columns))
    column, row = int(columns[lowest]), int(rows[lowest])
    reach = int(_CORNER * width)
    above = np.arange(max(0, row - reach), row)
    above = above[flipped[above].any(1)]
    wall = np.stack([flipped[above].argmax(1).astype(np.float64), above + 0.5], 1)
    beside = np.arange(column, min(column + reach, lung.shape[1]))
    beside = beside[flipped[:, beside].any(0)]
    dome = np.stack([beside + 0.5, (len(lung) - flipped[::-1, beside].argmax(0)).astype(np.float64)], 1)
    if len(wall) < _SMOOTH or len(dome) < _SMOOTH:
        return None
    lines = [np.array([(column, row + 1)], np.float64), wall, dome]
    if side is Laterality.LEFT:
        lines = [np.stack([lung.shape[1] - points[:, 0], points[:, 1]], 1) for points in lines]
    return Corner(point=lines[0][0], wall=lines[1], dome=lines[2])


_LUNGS = {Laterality.RIGHT: Anatomy.RIGHT_LUNG, Laterality.LEFT: Anatomy.LEFT_LUNG}
_DOMES = {Laterality.RIGHT: Anatomy.RIGHT_HEMIDIAPHRAGM, Laterality.LEFT: Anatomy.LEFT_HEMIDIAPHRAGM}
_OUTWARD = {Laterality.RIGHT: -1.0, Laterality.LEFT: 1.0}
"""Column direction out of the patient, per side."""


def find_interfaces(masks: Mapping[Anatomy, Mask], width: float) -> dict[Border, Interface]:
    """Return every border of heart, domes and aortic knob that is long enough; `width` of the thorax in grid pixels."""
    derivations: dict[Border, tuple[tuple[Anatomy, ...], Callable[[], Interface]]] = {
        Border.RIGHT_HEART_BORDER: ((Anatomy.HEART, Anatomy.RIGHT_LUNG), lambda: heart_border(masks, Laterality.RIGHT)),
        Border.LEFT_HEART_BORDER: ((Anatomy.HEART, Anatomy.LEFT_LUNG), lambda: heart_border(masks, Laterality.LEFT)),
        Border.RIGHT_HEMIDIAPHRAGM: (
            (Anatomy.RIGHT_HEMIDIAPHRAGM, Anatomy.RIGHT_LUNG),
            lambda: hemidiaphragm(masks, Laterality.RIGHT),
        ),
        Border.LEFT_HEMIDIAPHRAGM: (
            (Anatomy.LEFT_HEMIDIAPHRAGM, Anatomy.LEFT_LUNG),
            lambda: hemidiaphragm(masks, Laterality.LEFT),
        ),
        Border.AORTIC_KNOB: ((Anatomy.AORTA, Anatomy.LEFT_LUNG), lambda: aortic_knob(masks, width)),
    }
    derived = {
        border: derive() for border, (needed, derive) in derivations.items() if all(part in masks for part in needed)
    }
    return {border: interface for border, interface in derived.items() if len(interface)}
