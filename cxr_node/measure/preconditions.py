"""When nothing can be measured, and why: bad outlines, a film that lies askew, a child's thorax. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.reading import Structure
from cxr_node.measure import parts
from cxr_node.measure.grid import Grid, Mask

_LEAST: Mapping[Anatomy, float] = {
    Anatomy.RIGHT_LUNG: 0.012,
    Anatomy.LEFT_LUNG: 0.012,
    Anatomy.HEART: 0.012,
    Anatomy.TRACHEA: 0.0006,
}
"""Smallest believable area, as a share of the film."""
_ASKEW_DEGREES = 25.0
"""Of the line between the middles of the lungs; an effusion that hides half of one lung tilts it by 15."""
_TALLEST = 0.5
"""Least height of both lungs together over their width; 0.58 was seen on a film of a straight, shallow chest."""
SMALLEST_ADULT_MM, LARGEST_MM = 190.0, 450.0
"""Inner width of the thorax. 5 SD below the mean of women (27.1 cm less 5 times 1.5); a child of ten has about 200.
5 SD above the mean of men (31.0 cm plus 5 times 1.7), magnified by a fifth, is 474; a film is 430 wide."""
_CUT_PIXELS = 10
_NEAR_EDGE = 5
"""Grid pixels: outlines of a network end about so far from the edge of a film that cuts a lung off."""
_DETAIL = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Soundness:
    """What stands in the way of measuring: sentences, or nothing.

    `film` for everything, `spacing` for lengths and areas, `of` for a structure.
    """

    film: str
    spacing: str
    of: Mapping[Anatomy, str]

    def against(self, *needed: Anatomy) -> str:
        """Return why nothing can be measured that needs these structures; empty where it can."""
        return self.film or next((self.of[each] for each in needed if each in self.of), "")


def judge(canvas: Grid, structures: Sequence[Structure], *, is_adult: bool = False) -> Soundness:
    """Return what stands in the way of measuring.

    Of a patient who `is_adult` by the header a thorax too narrow for one tells of a wrong spacing; of another
    it may be a child's, and nothing is measured.
    """
    split = {structure.key for structure in structures if parts.is_split(structure)}
    of = {each: reason for each in Anatomy if (reason := _fault(canvas, each, is_split=each in split))}
    child, spacing = _against_width(canvas, is_adult=is_adult)
    return Soundness(film=_askew(canvas) or child, spacing=spacing, of=of)


def _fault(canvas: Grid, structure: Anatomy, *, is_split: bool) -> str:
    mask = canvas.mask(structure)
    name = structure.value.replace("_", " ")
    if not mask.any():
        return f"no {name} outlined"
    if mask.mean() < _LEAST.get(structure, 0.0):
        return f"outline of {name} too small"
    if is_split:
        return f"{name} outlined in two parts"
    return ""


def lungs(canvas: Grid) -> Mask:
    """Return both lungs as one mask."""
    both: Mask = canvas.mask(Anatomy.RIGHT_LUNG) | canvas.mask(Anatomy.LEFT_LUNG)
    return both


def _center(mask: Mask) -> tuple[float, float]:
    column, row = (float(np.arange(len(each)) @ each / each.sum()) for each in (mask.sum(0), mask.sum(1)))
    return column, row


def _askew(canvas: Grid) -> str:
    """Say whether the film lies on its side, upside down or turned by more than a few degrees."""
    right, left = canvas.mask(Anatomy.RIGHT_LUNG), canvas.mask(Anatomy.LEFT_LUNG)
    if not right.any() or not left.any():
        return ""
    (right_x, right_y), (left_x, left_y) = _center(right), _center(left)
    angle = math.degrees(math.atan2(abs(left_y - right_y), abs(left_x - right_x)))
    rows, columns = (np.flatnonzero((right | left).any(axis)) for axis in (1, 0))
    if angle > _ASKEW_DEGREES or np.ptp(rows) < _TALLEST * np.ptp(columns):
        return "the film or the patient lies askew"
    below = [each for each in (Anatomy.RIGHT_HEMIDIAPHRAGM, Anatomy.LEFT_HEMIDIAPHRAGM) if canvas.mask(each).any()]
    if any(_center(canvas.mask(each))[1] < (right_y + left_y) / 2 for each in below):
        return "the film lies upside down"
    return ""


def _against_width(canvas: Grid, *, is_adult: bool) -> tuple[str, str]:
    """Return what the width of the thorax says against the film, and against its pixel spacing."""
    if canvas.mm is None:
        return "", "the film states no pixel spacing"
    if not canvas.mask(Anatomy.RIGHT_LUNG).any() or not canvas.mask(Anatomy.LEFT_LUNG).any():
        return "", ""
    columns = np.flatnonzero(lungs(canvas).any(0))
    width_mm = (columns[-1] + 1 - columns[0]) * canvas.mm
    if width_mm < SMALLEST_ADULT_MM and not is_adult:
        return "the thorax is smaller than an adult's", ""
    if SMALLEST_ADULT_MM <= width_mm <= LARGEST_MM:
        return "", ""
    return "", f"by the film's pixel spacing the thorax would be {width_mm:.0f} mm wide"


def cut_sides(canvas: Grid) -> tuple[str, ...]:
    """Return at which sides of what the film shows a lung is cut off: top, bottom, left, right of the grid."""
    both = lungs(canvas)
    left, top, right, bottom = shown(canvas)
    counts = {
        "top": both[top : top + _NEAR_EDGE, left:right].any(0).sum(),
        "bottom": both[bottom - _NEAR_EDGE : bottom, left:right].any(0).sum(),
        "left": both[top:bottom, left : left + _NEAR_EDGE].any(1).sum(),
        "right": both[top:bottom, right - _NEAR_EDGE : right].any(1).sum(),
    }
    return tuple(side for side, count in counts.items() if count >= _CUT_PIXELS)


def shown(canvas: Grid) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the part of the grid that shows anything, without a collimator's shadow."""
    spans = []
    for axis in (0, 1):
        (at,) = np.nonzero(canvas.brightness.std(axis=axis) > _DETAIL)
        spans.append((int(at[0]), int(at[-1]) + 1) if len(at) else (0, canvas.brightness.shape[1 - axis]))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]
