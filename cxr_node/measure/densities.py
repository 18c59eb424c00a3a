"""Densities relative to the film's own air, lung, heart and spine: class map, shares of lung zones, asymmetry. Pure.

A pixel's class is its brightness on that scale, not the tissue at that place: brightness is the sum along the ray.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Density, Zone
from cxr_node.measure.grid import Grid, Mask

Classes = npt.NDArray[np.uint8]

ORDER = tuple(Density)
"""Class numbers of a map: 0 air, 1 lung, 2 soft tissue, 3 bone, 4 metal."""

_LUNG_QUANTILE = 0.25
"""Brightness of clear lung, also if a good part of the lungs is not clear."""
_SOFT = 0.57
"""Brightness of soft tissue from lung (0) to heart (1): half way in attenuation, since a film's curve is bent."""
_AIR = 0.5
_BONE = 0.5
_DARKEST = 1.0
_NO_SPINE = 0.35
_BRIGHTER = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Brightness, 0 to 1, of open air, clear lung, the heart beside the spine, and the heart before it (`bone`)."""

    air: float
    lung: float
    heart: float
    bone: float

    @property
    def is_usable(self) -> bool:
        """Whether heart and lung differ enough."""
        return self.heart - self.lung > 0.05


def find_anchors(grid: Grid) -> Anchors:
    """Return the anchors of a film on which heart and lungs are outlined."""
    lungs = grid.mask(Anatomy.RIGHT_LUNG) | grid.mask(Anatomy.LEFT_LUNG)
    heart, spine = grid.mask(Anatomy.HEART), grid.mask(Anatomy.SPINE)
    lung = float(np.quantile(grid.brightness[lungs], _LUNG_QUANTILE))
    beside, before = heart & ~spine, heart & spine
    soft = float(np.median(grid.brightness[beside if beside.any() else heart]))
    bone = float(np.median(grid.brightness[before])) if before.any() else 0.0
    return Anchors(
        air=min(float(np.percentile(grid.brightness, _DARKEST)), lung),
        lung=lung,
        heart=soft,
        bone=max(bone, soft + _NO_SPINE * (soft - lung) / 2),
    )


def classify(grid: Grid, anchors: Anchors, metal: Mask) -> Classes:
    """Return the class of every pixel, shape (rows, columns)."""
    limits = (
        anchors.lung - _AIR * (anchors.lung - anchors.air),
        anchors.lung + _SOFT * (anchors.heart - anchors.lung),
        anchors.heart + _BONE * (anchors.bone - anchors.heart),
    )
    class_map = np.zeros(grid.brightness.shape, np.uint8)
    for limit in limits:
        class_map += grid.brightness > limit
    class_map[metal] = ORDER.index(Density.METAL)
    return class_map


def zones(lung: Mask) -> dict[Zone, Mask]:
    """Return the masks of the thirds of a lung's height."""
    rows = np.flatnonzero(lung.any(1))
    parts = {}
    for number, zone in enumerate(Zone):
        part = np.zeros_like(lung)
        first, last = (rows[0] + (len(rows) * (number + step)) // 3 for step in (0, 1))
        part[first:last] = lung[first:last]
        parts[zone] = part
    return parts


def shares(classes: Classes, zone: Mask) -> Mapping[Density, float]:
    """Return the share of each class in a zone, percent."""
    counts = np.bincount(classes[zone], minlength=len(ORDER))
    return {density: float(100 * counts[number] / max(counts.sum(), 1)) for number, density in enumerate(ORDER)}


def zone_density(grid: Grid, anchors: Anchors, zone: Mask) -> float:
    """Return the median brightness of a zone: 0 as the film's clear lung, 1 as its heart."""
    return (float(np.median(grid.brightness[zone])) - anchors.lung) / (anchors.heart - anchors.lung)


def asymmetry(grid: Grid, anchors: Anchors, left: Mask, right: Mask) -> float:
    """Return the upper quartile of the left zone minus that of the right, as a share of the step from air to heart.

    The upper quartile, since an opacity fills a part of a zone. Not the step from clear lung to heart, which is small
    on a film whose lungs are filled.
    """
    brighter = [float(np.quantile(grid.brightness[zone], _BRIGHTER)) for zone in (left, right)]
    return (brighter[0] - brighter[1]) / (anchors.heart - anchors.air)
