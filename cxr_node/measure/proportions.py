"""Proportions: diameters, areas, tracheal deviation, mediastinal width, costophrenic angles. Pure.

Every function takes masks that passed `preconditions`. It returns a number in grid pixels, degrees or without unit,
with the line along which a person would measure it.
"""

import numpy as np
import numpy.typing as npt

from cxr_node.measure.grid import Mask, Points
from cxr_node.measure.interfaces import Corner

Measured = tuple[float, Points]
"""The number, and its line on the grid."""

_TOP, _BOTTOM = 0.15, 0.85
"""The part of the trachea's height on which its position is measured."""
_NEAR_CORNER = 3
_ABOVE_CHAMBERS = 0.3
"""Share of the heart's rows, from the top, that outline great vessels and hilum rather than chambers."""
_WIDEST = 0.25


def width(mask: Mask) -> Measured:
    """Return the full width of `mask` and a level line over it, at the height of its left end."""
    columns = np.flatnonzero(mask.any(0))
    row = float(np.flatnonzero(mask[:, columns[0]]).mean()) + 0.5
    line = np.array([(columns[0], row), (columns[-1] + 1, row)], np.float64)
    return float(columns[-1] + 1 - columns[0]), line


def heart_width(heart: Mask) -> Measured:
    """Return the heart's width and a level line of that length, at the row whose width is nearest to it.

    The width is the mean over the widest quarter of the rows, without the top 30 % of them (decision 0125).
    """
    rows = np.flatnonzero(heart.any(1))
    rows = rows[round(_ABOVE_CHAMBERS * len(rows)) :]
    left = heart[rows].argmax(1)
    right = heart.shape[1] - heart[rows][:, ::-1].argmax(1)
    widths = right - left
    mean = float(np.sort(widths)[-max(1, round(_WIDEST * len(rows))) :].mean())
    nearest = int(np.abs(widths - mean).argmin())
    middle, row = (left[nearest] + right[nearest]) / 2, rows[nearest] + 0.5
    return mean, np.array([(middle - mean / 2, row), (middle + mean / 2, row)], np.float64)


def area(mask: Mask) -> Measured:
    """Return the number of pixels of `mask` and a line over its greatest width."""
    return float(np.count_nonzero(mask)), width(mask)[1]


def tracheal_deviation(trachea: Mask, spine: Mask) -> Measured:
    """Return the trachea's distance from the spine's middle, positive to the patient's left, and the line between."""
    rows = np.flatnonzero(trachea.any(1))
    first, last = (int(rows[0] + share * np.ptp(rows)) for share in (_TOP, _BOTTOM))
    level = first + np.flatnonzero(trachea[first : last + 1].any(1) & spine[first : last + 1].any(1))
    if not len(level):
        return float("nan"), np.zeros((0, 2))
    air = np.median(_middles(trachea[level]))
    bone = np.median(_middles(spine[level]))
    row = (int(level[0]) + int(level[-1])) / 2 + 0.5
    return float(air - bone), np.array([(bone, row), (air, row)], np.float64)


def _middles(rows: Mask) -> npt.NDArray[np.float64]:
    """Return the middle between the first and the last pixel of each row, none of which is empty."""
    ends: npt.NDArray[np.float64] = (rows.argmax(1) + rows.shape[1] - rows[:, ::-1].argmax(1)) / 2
    return ends


def mediastinal_width(right: Mask, left: Mask, knob: Points) -> Measured:
    """Return the distance between the lungs at the height where the aortic knob reaches furthest out."""
    row = int(knob[np.argmax(knob[:, 0]), 1])
    inner_right, inner_left = np.flatnonzero(right[row]), np.flatnonzero(left[row])
    if not len(inner_right) or not len(inner_left):
        return float("nan"), np.zeros((0, 2))
    ends = float(inner_right[-1] + 1), float(inner_left[0])
    return ends[1] - ends[0], np.array([(ends[0], row + 0.5), (ends[1], row + 0.5)], np.float64)


def costophrenic_angle(corner: Corner) -> Measured:
    """Return the angle between chest wall and dome in degrees, and the line from wall over corner to dome."""
    directions = [_direction(line, corner.point) for line in (corner.wall, corner.dome)]
    cosine = float(np.clip(directions[0] @ directions[1], -1.0, 1.0))
    reach = max(float(np.linalg.norm(corner.wall - corner.point, axis=1).max()), 1.0)
    line = np.stack([corner.point + reach * directions[0], corner.point, corner.point + reach * directions[1]])
    return float(np.degrees(np.arccos(cosine))), line


def _direction(line: Points, corner: Points) -> Points:
    """Return the direction of a line away from the corner: the mean over its points that are not at the corner."""
    away = line - corner
    far = away[np.linalg.norm(away, axis=1) > _NEAR_CORNER]
    mean = (far if len(far) else away).mean(0)
    direction: Points = mean / max(float(np.linalg.norm(mean)), 1e-6)
    return direction
