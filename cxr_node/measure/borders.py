"""Clarity of borders: step in brightness across each, and share of the surrounding contrast at it. Pure.

A border is visible where the densities on its two sides differ. If the lung beside it fills, the step disappears; the
border tells the lobe (silhouette sign). A network's outlines lie some pixels off, so the step is searched in a band.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_node.domain.borders import Border
from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import Float32
from cxr_node.measure.grid import Points
from cxr_node.measure.interfaces import Interface

Float64 = npt.NDArray[np.float64]

NEAR, FAR = 3, 12
"""Distances beside the line at which brightness is sampled, in grid pixels: 2.4 to 10 mm on an adult's film."""
_REACH = 16
"""Half length of a profile across the line, in grid pixels of about 0.8 mm."""
_BAND = 4
"""Half width of the band about the line in which the border is searched."""
_WIDE, _NARROW = 10, 3
_GAP = 1
_ALONG = 11
_MIN_OVER_LUNG = 0.1
"""Least excess of the dense side over clear lung, as a share of the film's step; smaller ones count as this."""
_MIN_STEP, _MIN_CONTRAST = 0.01, 0.02

LOWEST_CLARITY: Mapping[View, Mapping[Border, float]] = {
    View.PA: {
        Border.RIGHT_HEART_BORDER: 0.26,
        Border.LEFT_HEART_BORDER: 0.32,
        Border.RIGHT_HEMIDIAPHRAGM: 0.23,
        Border.LEFT_HEMIDIAPHRAGM: 0.09,
        Border.AORTIC_KNOB: 0.55,
    },
    View.AP: {
        Border.RIGHT_HEART_BORDER: 0.23,
        Border.LEFT_HEART_BORDER: 0.23,
        Border.RIGHT_HEMIDIAPHRAGM: 0.19,
        Border.LEFT_HEMIDIAPHRAGM: 0.05,
        Border.AORTIC_KNOB: 0.45,
    },
}
"""Lowest normal clarity: of films of training patients without finding, the third percentile on PA and the fifth on AP.
With these 4.7 % of the borders of patients left out in turn were called obscured."""


def lowest_clarity(view: View) -> Mapping[Border, float]:
    """Return the lowest normal clarity of each border; for an unknown view the AP limits, which call fewer."""
    return LOWEST_CLARITY[View.PA if view is View.PA else View.AP]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The film's brightness of lung and heart, 0 to 1, to which differences are relative."""

    lung: float
    heart: float

    @property
    def step(self) -> float:
        """Difference from lung to heart."""
        return self.heart - self.lung


def sample(brightness: Float32, points: Points) -> Float64:
    """Return brightness at points (n, 2) of the grid, by linear interpolation between pixel centers."""
    return _interpolated(brightness, points[:, 0], points[:, 1])


def _interpolated(brightness: Float32, column: Float64, row: Float64) -> Float64:
    """Return brightness at columns and rows of the grid, of any shape."""
    rows, columns = brightness.shape
    x = np.clip(column - 0.5, 0, columns - 1.001)
    y = np.clip(row - 0.5, 0, rows - 1.001)
    left, top = x.astype(np.intp), y.astype(np.intp)
    across, down = x - left, y - top
    upper = brightness[top, left] * (1 - across) + brightness[top, left + 1] * across
    lower = brightness[top + 1, left] * (1 - across) + brightness[top + 1, left + 1] * across
    values: Float64 = upper * (1 - down) + lower * down
    return values


def sides(brightness: Float32, interface: Interface, near: int = NEAR, far: int = FAR) -> tuple[Float64, Float64]:
    """Return the mean brightness beside each point (n,): on the dense side, and in the lung."""
    distances = np.arange(near, far + 1)
    return _across(brightness, interface, -distances).mean(1), _across(brightness, interface, distances).mean(1)


def _across(brightness: Float32, interface: Interface, distances: npt.NDArray[np.int64]) -> Float64:
    """Return brightness at distances from each point of the line, positive into the lung: (points, distances).

    Columns and rows are separate arrays, since numpy is slow along an axis of two.
    """
    column, row = (
        np.ascontiguousarray(interface.points[:, axis])[:, None]
        + distances[None, :] * np.ascontiguousarray(interface.toward[:, axis])[:, None]
        for axis in (0, 1)
    )
    return _interpolated(brightness, column, row)


def profiles(brightness: Float32, interface: Interface) -> Float64:
    """Return profiles across the line, from the dense side into the lung, averaged along it: (places, 33)."""
    across = _across(brightness, interface, np.arange(-_REACH, _REACH + 1))
    if len(across) < _ALONG:
        return across
    sums = np.cumsum(np.concatenate([np.zeros((1, across.shape[1])), across]), axis=0)
    averaged: Float64 = (sums[_ALONG:] - sums[:-_ALONG]) / _ALONG
    return averaged


def clarity(across: Float64, scale: Scale) -> float:
    """Return the median step across the border, as a share of the dense side's excess over clear lung.

    1 if clear lung lies beside the border, 0 if both sides are equally bright. Relative to the dense side and not to
    the heart: an arch is less bright than a heart, and beside a filled lobe everything is brighter.
    """
    dense, lung = _steepest(across, _WIDE, _GAP)
    over_lung = np.maximum(dense - scale.lung, _MIN_OVER_LUNG * max(scale.step, _MIN_STEP))
    return float(np.median((dense - lung) / over_lung))


def edge(across: Float64) -> float:
    """Return the share of the contrast within 13 mm of the border that lies within 5 mm, 0 to 1; the median."""
    contrast = np.maximum(np.ptp(across, axis=1), _MIN_CONTRAST)
    dense, lung = _steepest(across, _NARROW, 0)
    return float(np.median((dense - lung) / contrast))


def _steepest(across: Float64, width: int, gap: int) -> tuple[Float64, Float64]:
    """Return the mean brightness of `width` pixels on the dense side and in the lung, where they differ most.

    Per place along the border, shape (places,), within the band.
    """
    sums = np.concatenate([np.zeros((len(across), 1)), np.cumsum(across, axis=1)], axis=1)
    at = np.arange(_REACH - _BAND, _REACH + _BAND + 1)
    dense = (sums[:, at - gap] - sums[:, at - gap - width]) / width
    lung = (sums[:, at + gap + 1 + width] - sums[:, at + gap + 1]) / width
    places, steepest = np.arange(len(across)), (dense - lung).argmax(axis=1)
    return dense[places, steepest], lung[places, steepest]
