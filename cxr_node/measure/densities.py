"""The densities a film shows, by its own scale: a map, shares of each lung zone, and left against right. Pure.

What a pixel's class says is how bright it is beside the film's own air, lung, heart and spine; not which tissue lies
there, for brightness is the sum of all that the ray met.
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
"""The clear part of the lungs, also where a good part of them is not."""
_SOFT = 0.57
"""How far from lung to heart brightness is that of soft tissue: half way in attenuation, for a film's curve is bent."""
_AIR = 0.5
_BONE = 0.5
_DARKEST = 1.0
_NO_SPINE = 0.35
_BRIGHTER = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """The film's own brightness, 0 to 1, of open air, clear lung, and heart beside and before the spine."""

    air: float
    lung: float
    heart: float
    bone: float

    @property
    def is_usable(self) -> bool:
        """Whether they come in the order in which they absorb, and far enough apart to tell."""
        return self.heart - self.lung > 0.05


def anchors(canvas: Grid) -> Anchors:
    """Return the film's own scale; heart and lungs are outlined."""
    lungs = canvas.mask(Anatomy.RIGHT_LUNG) | canvas.mask(Anatomy.LEFT_LUNG)
    heart, spine = canvas.mask(Anatomy.HEART), canvas.mask(Anatomy.SPINE)
    lung = float(np.quantile(canvas.brightness[lungs], _LUNG_QUANTILE))
    beside, before = heart & ~spine, heart & spine
    soft = float(np.median(canvas.brightness[beside if beside.any() else heart]))
    bone = float(np.median(canvas.brightness[before])) if before.any() else 0.0
    return Anchors(
        air=min(float(np.percentile(canvas.brightness, _DARKEST)), lung),
        lung=lung,
        heart=soft,
        bone=max(bone, soft + _NO_SPINE * (soft - lung) / 2),
    )


def classes(canvas: Grid, scale: Anchors, metal: Mask) -> Classes:
    """Return the class of every pixel, shape (rows, columns)."""
    limits = (
        scale.lung - _AIR * (scale.lung - scale.air),
        scale.lung + _SOFT * (scale.heart - scale.lung),
        scale.heart + _BONE * (scale.bone - scale.heart),
    )
    found = np.zeros(canvas.brightness.shape, np.uint8)
    for limit in limits:
        found += canvas.brightness > limit
    found[metal] = ORDER.index(Density.METAL)
    return found


def zones(lung: Mask) -> dict[Zone, Mask]:
    """Return the thirds of a lung's height."""
    rows = np.flatnonzero(lung.any(1))
    parts = {}
    for number, zone in enumerate(Zone):
        part = np.zeros_like(lung)
        first, last = (rows[0] + (len(rows) * (number + step)) // 3 for step in (0, 1))
        part[first:last] = lung[first:last]
        parts[zone] = part
    return parts


def shares(found: Classes, zone: Mask) -> Mapping[Density, float]:
    """Return the share of each class in a zone, percent."""
    counts = np.bincount(found[zone], minlength=len(ORDER))
    return {density: float(100 * counts[number] / max(counts.sum(), 1)) for number, density in enumerate(ORDER)}


def density(canvas: Grid, scale: Anchors, zone: Mask) -> float:
    """Return how bright a zone is in the middle: 0 as the film's clear lung, 1 as its heart."""
    return (float(np.median(canvas.brightness[zone])) - scale.lung) / (scale.heart - scale.lung)


def asymmetry(canvas: Grid, scale: Anchors, left: Mask, right: Mask) -> float:
    """Return how much brighter the left zone's brighter part is, as a share of the way from open air to heart.

    The upper quartile: what fills a zone fills a part of it. Not from clear lung to heart: that way is short on a film
    whose lungs are filled.
    """
    brighter = [float(np.quantile(canvas.brightness[zone], _BRIGHTER)) for zone in (left, right)]
    return (brighter[0] - brighter[1]) / (scale.heart - scale.air)
