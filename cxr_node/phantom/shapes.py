"""Shapes of soft organs: ellipsoids and barrels.

An ellipsoid may be rotated. A barrel is a stack of ellipses, one per height; half-width, half-depth and center are
interpolated between them. A ray crosses each in at most one interval, so path lengths follow from arithmetic on
intervals, not from sampling.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_node.phantom.thorax import rotation

Float64 = npt.NDArray[np.float64]

SIDES = {"right": -1, "left": 1}
LEVELS = 96
"""Heights at which a barrel is tabulated."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ellipsoid:
    """Points p with |matrix (p - center)| <= 1, in mm."""

    center: Float64
    matrix: Float64

    @classmethod
    def of(
        cls,
        center: tuple[float, float, float],
        semi_axes: tuple[float, float, float],
        *,
        yaw: float = 0.0,
        pitch: float = 0.0,
        roll: float = 0.0,
    ) -> "Ellipsoid":
        """Return the ellipsoid of `semi_axes` about x, y and z, then rotated (radians)."""
        turn = rotation(yaw, pitch, roll)
        return cls(center=np.array(center), matrix=np.diag(1.0 / np.array(semi_axes)) @ turn.T)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Barrel:
    """A stack of ellipses. `table` is (LEVELS, 4): half-width, half-depth, center x, center y, from `bottom_mm` up."""

    bottom_mm: float
    top_mm: float
    table: Float64

    def at(self, z: Float64) -> Float64:
        """Return the rows of the table at heights `z`, interpolated, with a last axis of 4."""
        place = np.clip((z - self.bottom_mm) / (self.top_mm - self.bottom_mm), 0, 1) * (LEVELS - 1)
        below = np.minimum(place.astype(int), LEVELS - 2)
        part = (place - below)[..., None]
        rows: Float64 = self.table[below] * (1 - part) + self.table[below + 1] * part
        return rows

    def back(self, z: Float64) -> Float64:
        """Return the largest y at heights `z`."""
        rows = self.at(z)
        return rows[..., 3] + rows[..., 1]


def smooth(values: Float64) -> Float64:
    """Return `values` smoothed over five neighbours."""
    padded = np.pad(values, 2, mode="edge")
    return np.convolve(padded, [0.1, 0.24, 0.32, 0.24, 0.1], mode="valid")
