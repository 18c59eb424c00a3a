"""Small solids projected by quadrature: tubes, branches, and clouds of points with volumes."""

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
KNOTS = 48
"""Points along every tube's center line."""


class Part(IntEnum):
    """Channel of the film to which a solid is added."""

    POSTERIOR_RIBS = 0
    ANTERIOR_RIBS = 1
    RIGHT_CLAVICLE = 2
    LEFT_CLAVICLE = 3
    RIGHT_SCAPULA = 4
    LEFT_SCAPULA = 5
    SPINE = 6
    OTHER_BONE = 7
    LUNG_VESSELS = 8
    TRACHEA = 9
    BRONCHI = 10
    GAS = 11
    """In stomach and bowel."""
    FINDINGS = 12
    """This and what follows: one channel for each finding of a film."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tube:
    """A tube of elliptic section along `line`.

    `line` (KNOTS, 3) mm; `radii` (KNOTS, 2) mm along `up` and across it; `up` (3,) need not be
    perpendicular to the line. The wall of thickness `shell_mm` has density 1, what it encloses
    `core`, relative to the channel's tissue.
    """

    part: Part | int
    line: Float64
    radii: Float64
    up: Float64
    core: float = 1.0
    shell_mm: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cloud:
    """Points (n, 3) in mm, each with `volume_mm3` (n,) of the channel's tissue."""

    part: Part | int
    points: Float64
    volume_mm3: Float64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Branches:
    """Many short bent cylinders, from `start` towards `middle` to `end` (n, 3) mm; `radius_mm` (n, 2) thins."""

    part: Part | int
    start: Float64
    middle: Float64
    end: Float64
    radius_mm: Float64


def spline(*points: tuple[float, float, float]) -> Float64:
    """Return KNOTS points on a smooth line through `points` (Catmull-Rom), evenly in their index."""
    knots = np.array(points, dtype=np.float64)
    if len(knots) == 2:
        straight: Float64 = knots[0] + np.linspace(0, 1, KNOTS)[:, None] * (knots[1] - knots[0])
        return straight
    padded = np.concatenate([[2 * knots[0] - knots[1]], knots, [2 * knots[-1] - knots[-2]]])
    place = np.linspace(0, len(knots) - 1, KNOTS)
    first = np.minimum(place.astype(int), len(knots) - 2)
    t = (place - first)[:, None]
    a, b, c, d = (padded[first + k] for k in range(4))
    line: Float64 = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return line


@lru_cache(maxsize=512)
def profile(*values: tuple[float, float]) -> Float64:
    """Return (KNOTS, 2) radii interpolated between evenly spaced pairs."""
    pairs = np.array(values, dtype=np.float64)
    places = np.linspace(0, len(pairs) - 1, KNOTS)
    radii = np.stack([np.interp(places, np.arange(len(pairs)), pairs[:, k]) for k in range(2)], axis=1)
    radii.flags.writeable = False
    return radii
