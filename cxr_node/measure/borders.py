"""How clear a border is: the step in brightness across it, against the noise beside it. Pure.

A border is seen where the densities on its two sides differ. When the lung beside it fills, the step goes, and which
border goes says which lobe is filled (the silhouette sign).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import Float32
from cxr_node.domain.taught import Taught
from cxr_node.measure.canvas import Points
from cxr_node.measure.interfaces import Interface

Float64 = npt.NDArray[np.float64]

NEAR, FAR = 3, 12
"""From how far to how far beside the line brightness is taken, in grid pixels: 2.4 to 10 mm on an adult's film."""
_ALONG = 11
_FLOOR = 0.15
"""Least noise, as a share of the film's step from lung to heart: a smooth film is not infinitely clear."""
_EVERY = 4
_ROBUST = 1.4826
"""From a median of absolute differences to a standard deviation, were they normal."""

LOWEST: Mapping[Taught, float] = {
    Taught.RIGHT_HEART_BORDER: 1.25,
    Taught.LEFT_HEART_BORDER: 1.94,
    Taught.RIGHT_HEMIDIAPHRAGM: 2.70,
    Taught.LEFT_HEMIDIAPHRAGM: 2.34,
    Taught.AORTIC_KNOB: 0.55,
}
"""Lowest clarity of normal films: the second percentile of 400 normal phantoms, of the knob the third."""


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


def clarity(brightness: Float32, interface: Interface, scale: Scale) -> float:
    """Return the border's clarity, without unit: the middle of the steps along it over the noise beside it.

    Noise is how much the brightness on either side changes from one place to one 4 pixels on, and at least 15 % of the
    film's step from lung to heart.
    """
    dense, lung = sides(brightness, interface)
    steps = dense - lung
    if len(steps) >= _ALONG:
        steps = np.convolve(steps, np.ones(_ALONG) / _ALONG, "valid")
    noise = _roughness(dense) + _roughness(lung)
    return float(np.median(steps) / np.hypot(noise, _FLOOR * max(scale.step, 0.01)))


def _roughness(values: Float64) -> float:
    changes = np.abs(np.diff(values[::_EVERY]))
    return _ROBUST * float(np.median(changes)) if len(changes) else 0.0
