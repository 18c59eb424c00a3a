"""How clear a border is: the step in brightness over it, and how much of the contrast around lies at it. Pure.

A border is seen where the densities on its two sides differ. When the lung beside it fills, the step goes, and which
border goes says which lobe is filled (the silhouette sign). Outlines of a network lie some pixels beside the border, so
it is looked for in a band about the line.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_node.domain.borders import Border
from cxr_node.domain.radiograph import Float32, View
from cxr_node.measure.grid import Points
from cxr_node.measure.interfaces import Interface

Float64 = npt.NDArray[np.float64]

NEAR, FAR = 3, 12
"""From how far to how far beside the line brightness is taken, in grid pixels: 2.4 to 10 mm on an adult's film."""
_REACH = 16
"""How far to both sides of the line brightness is looked at, in grid pixels of about 0.8 mm."""
_BAND = 4
"""How far from the line the border is looked for."""
_WIDE, _NARROW = 10, 3
_GAP = 1
_ALONG = 11
_LEAST_OVER_LUNG = 0.1
"""How much brighter than the film's clear lung the dense side is taken to be at least, as a share of its step."""
_LEAST_STEP, _LEAST_CONTRAST = 0.01, 0.02

LOWEST: Mapping[View, Mapping[Border, float]] = {
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
"""Lowest clarity of films without finding, by their outlines: of those of training patients the third percentile on
PA and the fifth on AP films, at which 4.7 % of the borders of patients left out in turn were called."""


def lowest(view: View) -> Mapping[Border, float]:
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
    """Return how much of what the dense side is brighter than clear lung is gone beyond the border, in the middle.

    1 where clear lung lies beside the border, 0 where both sides are equally bright. By the dense side's own brightness
    and not by the film's heart: an arch is less bright than a heart, and beside a filled lobe all is brighter.
    """
    dense, lung = _best(across, _WIDE, _GAP)
    over_lung = np.maximum(dense - scale.lung, _LEAST_OVER_LUNG * max(scale.step, _LEAST_STEP))
    return float(np.median((dense - lung) / over_lung))


def edge(across: Float64) -> float:
    """Return how much of the contrast within 13 mm of the border lies within 5 mm at it, 0 to 1: its middle."""
    contrast = np.maximum(np.ptp(across, axis=1), _LEAST_CONTRAST)
    dense, lung = _best(across, _NARROW, 0)
    return float(np.median((dense - lung) / contrast))


def _best(across: Float64, width: int, gap: int) -> tuple[Float64, Float64]:
    """Return the mean brightness of `width` pixels on the dense and on the lung's side, where they differ most.

    For each place along the border, shape (places,), within the band.
    """
    sums = np.concatenate([np.zeros((len(across), 1)), np.cumsum(across, axis=1)], axis=1)
    at = np.arange(_REACH - _BAND, _REACH + _BAND + 1)
    dense = (sums[:, at - gap] - sums[:, at - gap - width]) / width
    lung = (sums[:, at + gap + 1 + width] - sums[:, at + gap + 1]) / width
    each, best = np.arange(len(across)), (dense - lung).argmax(axis=1)
    return dense[each, best], lung[each, best]
