"""How clear a border is: the step in brightness over it, and how much of the contrast around lies at it. Pure.

A border is seen where the densities on its two sides differ. When the lung beside it fills, the step goes, and which
border goes says which lobe is filled (the silhouette sign). Outlines of a network lie some pixels beside the border, so
it is looked for in a band about the line.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import Float32, View
from cxr_node.domain.taught import Taught
from cxr_node.measure.canvas import Points
from cxr_node.measure.interfaces import Interface

Float64 = npt.NDArray[np.float64]

NEAR, FAR = 3, 12
"""From how far to how far beside the line brightness is taken, in grid pixels: 2.4 to 10 mm on an adult's film."""
_REACH = 16
"""How far to both sides of the line brightness is looked at, in grid pixels of about 0.8 mm."""
_BAND = 4
"""How far from the line the border is looked for."""
_WIDE, _NARROW = 8, 3
_GAP = 1
_ALONG = 11
_PART = 0.25
"""The step is that which three quarters of the border reach: a border lost in part is weak here."""
_LEAST_STEP, _LEAST_CONTRAST = 0.01, 0.02

LOWEST: Mapping[View, Mapping[Taught, float]] = {
    View.PA: {
        Taught.RIGHT_HEART_BORDER: 0.15,
        Taught.LEFT_HEART_BORDER: 0.21,
        Taught.RIGHT_HEMIDIAPHRAGM: 0.16,
        Taught.LEFT_HEMIDIAPHRAGM: 0.07,
        Taught.AORTIC_KNOB: 0.29,
    },
    View.AP: {
        Taught.RIGHT_HEART_BORDER: 0.09,
        Taught.LEFT_HEART_BORDER: 0.08,
        Taught.RIGHT_HEMIDIAPHRAGM: 0.11,
        Taught.LEFT_HEMIDIAPHRAGM: 0.04,
        Taught.AORTIC_KNOB: 0.18,
    },
}
"""Lowest clarity of films without finding: the fifth percentile of those of training patients, by their outlines."""


def lowest(view: View) -> Mapping[Taught, float]:
    """Return the lowest normal clarity of each border; where the view is not known the lower, which calls less."""
    return LOWEST[View.PA if view is View.PA else View.AP]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The film's own brightness of lung and heart, 0 to 1: its ruler for differences."""

    lung: float
    heart: float

    @property
    def step(self) -> float:
        """From lung to heart."""
        return self.heart - self.lung


def sampled(brightness: Float32, points: Points) -> Float64:
    """Return brightness at points (..., 2) of the grid, by linear interpolation between pixel centers."""
    rows, columns = brightness.shape
    x = np.clip(points[..., 0] - 0.5, 0, columns - 1.001)
    y = np.clip(points[..., 1] - 0.5, 0, rows - 1.001)
    left, top = x.astype(np.intp), y.astype(np.intp)
    across, down = x - left, y - top
    upper = brightness[top, left] * (1 - across) + brightness[top, left + 1] * across
    lower = brightness[top + 1, left] * (1 - across) + brightness[top + 1, left + 1] * across
    values: Float64 = upper * (1 - down) + lower * down
    return values


def sides(brightness: Float32, interface: Interface, near: int = NEAR, far: int = FAR) -> tuple[Float64, Float64]:
    """Return the mean brightness beside each point (n,): on the far side from the lung, and in the lung."""
    away = np.arange(near, far + 1)[None, :, None] * interface.toward[:, None]
    origin = interface.points[:, None]
    return sampled(brightness, origin - away).mean(1), sampled(brightness, origin + away).mean(1)


def profiles(brightness: Float32, interface: Interface) -> Float64:
    """Return brightness across the line, from the far side into the lung, evened along it: (places, 33)."""
    away = np.arange(-_REACH, _REACH + 1)[None, :, None] * interface.toward[:, None]
    across = sampled(brightness, interface.points[:, None] + away)
    if len(across) < _ALONG:
        return across
    sums = np.cumsum(np.concatenate([np.zeros((1, across.shape[1])), across]), axis=0)
    evened: Float64 = (sums[_ALONG:] - sums[:-_ALONG]) / _ALONG
    return evened


def clarity(across: Float64, scale: Scale) -> float:
    """Return the step that three quarters of the border reach, as a share of the film's step from lung to heart."""
    return float(np.quantile(_best(across, _WIDE, _GAP), _PART)) / max(scale.step, _LEAST_STEP)


def edge(across: Float64) -> float:
    """Return how much of the contrast within 13 mm of the border lies within 5 mm at it, 0 to 1: its middle."""
    contrast = np.maximum(np.ptp(across, axis=1), _LEAST_CONTRAST)
    return float(np.median(_best(across, _NARROW, 0) / contrast))


def _best(across: Float64, width: int, gap: int) -> Float64:
    """Return for each place the largest step within the band: mean of `width` pixels on one side less the other's."""
    sums = np.concatenate([np.zeros((len(across), 1)), np.cumsum(across, axis=1)], axis=1)
    at = np.arange(_REACH - _BAND, _REACH + _BAND + 1)
    dense = sums[:, at - gap] - sums[:, at - gap - width]
    lung = sums[:, at + gap + 1 + width] - sums[:, at + gap + 1]
    best: Float64 = (dense - lung).max(axis=1) / width
    return best
