"""Preconditions of measuring: usable outlines, an upright film, an adult's thorax. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.reading import Structure
from cxr_node.measure import parts
from cxr_node.measure.grid import Grid, Mask

_MIN_AREA: Mapping[Anatomy, float] = {
    Anatomy.RIGHT_LUNG: 0.012,
    Anatomy.LEFT_LUNG: 0.012,
    Anatomy.HEART: 0.012,
    Anatomy.TRACHEA: 0.0006,
}
"""Smallest plausible area, as a share of the film."""
_ASKEW_DEGREES = 25.0
"""Tilt of the line between the centers of the lungs; an effusion that hides half of one lung tilts it by 15."""
_MIN_HEIGHT_OVER_WIDTH = 0.5
"""Of both lungs together; 0.58 occurred on a film of a straight, shallow chest."""
MIN_ADULT_WIDTH_MM, MAX_WIDTH_MM = 190.0, 450.0
"""Inner width of the thorax: 5 SD below the mean of women (27.1 cm less 5 times 1.5); a child of ten has about 200.
5 SD above the mean of men (31.0 cm plus 5 times 1.7), magnified by a fifth, is 474; a film is 430 wide."""
_CUT_PIXELS = 10
_NEAR_EDGE = 5
"""Grid pixels: a network's outlines end about this far from the edge of a film that cuts a lung off."""
_DETAIL = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Preconditions:
    """Obstacles to measuring, each a sentence or empty.

    `film` for everything, `spacing` for lengths and areas, `structures` for what needs that structure.
    """

    film: str
    spacing: str
    structures: Mapping[Anatomy, str]

    def obstacle(self, *needed: Anatomy) -> str:
        """Return the obstacle to a measurement that needs these structures; empty for none."""
        return self.film or next((self.structures[part] for part in needed if part in self.structures), "")


def check(grid: Grid, structures: Sequence[Structure], *, is_adult: bool = False) -> Preconditions:
    """Check the preconditions.

    If the patient `is_adult` by the header, a thorax too narrow for an adult means a wrong pixel spacing. Otherwise it
    may be a child's, and nothing is measured.
    """
    split = {structure.key for structure in structures if parts.is_split(structure)}
    faults = {part: fault for part in Anatomy if (fault := _fault(grid, part, is_split=part in split))}
    child, spacing = _width_obstacles(grid, is_adult=is_adult)
    return Preconditions(film=_askew(grid) or child, spacing=spacing, structures=faults)


def _fault(grid: Grid, structure: Anatomy, *, is_split: bool) -> str:
    mask = grid.mask(structure)
    name = structure.value.replace("_", " ")
    if not mask.any():
        return f"no {name} outlined"
    if np.count_nonzero(mask) / mask.size < _MIN_AREA.get(structure, 0.0):
        return f"outline of {name} too small"
    if is_split:
        return f"{name} outlined in two parts"
    return ""


def both_lungs(grid: Grid) -> Mask:
    """Return both lungs as one mask."""
    both: Mask = grid.mask(Anatomy.RIGHT_LUNG) | grid.mask(Anatomy.LEFT_LUNG)
    return both


def _center(mask: Mask) -> tuple[float, float]:
    column, row = (float(np.arange(len(counts)) @ counts / counts.sum()) for counts in (mask.sum(0), mask.sum(1)))
    return column, row


def _askew(grid: Grid) -> str:
    """Return the obstacle of a film that lies on its side, upside down, or turned by more than a few degrees."""
    right, left = grid.mask(Anatomy.RIGHT_LUNG), grid.mask(Anatomy.LEFT_LUNG)
    if not right.any() or not left.any():
        return ""
    (right_x, right_y), (left_x, left_y) = _center(right), _center(left)
    angle = math.degrees(math.atan2(abs(left_y - right_y), abs(left_x - right_x)))
    rows, columns = (np.flatnonzero((right | left).any(axis)) for axis in (1, 0))
    if angle > _ASKEW_DEGREES or np.ptp(rows) < _MIN_HEIGHT_OVER_WIDTH * np.ptp(columns):
        return "the film or the patient lies askew"
    domes = (grid.mask(dome) for dome in (Anatomy.RIGHT_HEMIDIAPHRAGM, Anatomy.LEFT_HEMIDIAPHRAGM))
    if any(dome.any() and _center(dome)[1] < (right_y + left_y) / 2 for dome in domes):
        return "the film lies upside down"
    return ""


def _width_obstacles(grid: Grid, *, is_adult: bool) -> tuple[str, str]:
    """Return the obstacles that follow from the width of the thorax: of the film, and of its pixel spacing."""
    if grid.mm is None:
        return "", "the film states no pixel spacing"
    if not grid.mask(Anatomy.RIGHT_LUNG).any() or not grid.mask(Anatomy.LEFT_LUNG).any():
        return "", ""
    columns = np.flatnonzero(both_lungs(grid).any(0))
    width_mm = (columns[-1] + 1 - columns[0]) * grid.mm
    if width_mm < MIN_ADULT_WIDTH_MM and not is_adult:
        return "the thorax is smaller than an adult's", ""
    if MIN_ADULT_WIDTH_MM <= width_mm <= MAX_WIDTH_MM:
        return "", ""
    return "", f"by the film's pixel spacing the thorax would be {width_mm:.0f} mm wide"


def cut_sides(grid: Grid) -> tuple[str, ...]:
    """Return the sides of the exposed area at which a lung is cut off: top, bottom, left, right of the grid."""
    both = both_lungs(grid)
    left, top, right, bottom = exposed_area(grid)
    counts = {
        "top": both[top : top + _NEAR_EDGE, left:right].any(0).sum(),
        "bottom": both[bottom - _NEAR_EDGE : bottom, left:right].any(0).sum(),
        "left": both[top:bottom, left : left + _NEAR_EDGE].any(1).sum(),
        "right": both[top:bottom, right - _NEAR_EDGE : right].any(1).sum(),
    }
    return tuple(side for side, count in counts.items() if count >= _CUT_PIXELS)


def exposed_area(grid: Grid) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the exposed part of the grid, without the collimator's shadow."""
    spans = []
    for axis in (0, 1):
        (at,) = np.nonzero(grid.brightness.std(axis=axis) > _DETAIL)
        spans.append((int(at[0]), int(at[-1]) + 1) if len(at) else (0, grid.brightness.shape[1 - axis]))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]
