"""How much of each tissue every ray crosses, and what of it is which structure. All in torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cxr_node.phantom import projection as rays_
from cxr_node.phantom.projection import Interval, Rays
from cxr_node.phantom.torso import SIDES, Barrel, Torso

HEART = ("right_atrium", "left_atrium", "right_ventricle", "left_ventricle", "outflow")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paths:
    """Lengths in mm along the rays, each (films, rows, columns): the body, its lean part, and aerated lung."""

    body: Tensor
    lean: Tensor
    breast: Tensor
    lungs: Tensor
    gas: Tensor
    silhouettes: dict[str, Tensor]
    """Length in mm inside single structures, whatever else lies before or behind them."""


class _Shapes:
    """The shapes of several torsos met by the same number of rays."""

    def __init__(self, rays: Rays, torsos: Sequence[Torso]) -> None:
        self.rays, self.torsos = rays, torsos

    def tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self.rays.source.device)

    def organ(self, name: str) -> Interval:
        organs = [torso.organs[name] for torso in self.torsos]
        return rays_.ellipsoid(
            self.rays,
            self.tensor(np.stack([o.center for o in organs])),
            self.tensor(np.stack([o.matrix for o in organs])),
        )

    def barrels(self, *names: str) -> list[Interval]:
        stacks: list[list[Barrel]] = [[getattr(torso, name) for torso in self.torsos] for name in names]
        bounds = self.tensor(np.array([[one.bottom_mm, one.top_mm] for one in stacks[0]]))
        return rays_.barrel(
            self.rays, [self.tensor(np.stack([one.table for one in stack])) for stack in stacks], bounds
        )


def paths(rays: Rays, torsos: Sequence[Torso]) -> Paths:
    """Return the path lengths of `rays` through `torsos`, one torso a film."""
    shapes = _Shapes(rays, torsos)
    body, lean = shapes.barrels("body", "muscle")
    (cage,) = shapes.barrels("cage")
    (mediastinum,) = shapes.barrels("mediastinum")
    organs = {name: shapes.organ(name) for name in torsos[0].organs}
    heart = rays_.hull(*(organs[name] for name in HEART), organs["ascending_aorta"])
    aorta = organs["descending_aorta"]
    above = rays_.above(rays, shapes.tensor(np.array([torso.sulcus_mm for torso in torsos])))
    scale = rays.length_mm
    silhouettes = {name: rays_.extent(organs[name]) * scale for name in organs}
    silhouettes["mediastinum"] = rays_.extent(mediastinum) * scale
    silhouettes["cage"] = rays_.extent(cage) * scale
    lungs = torch.zeros_like(scale)
    for name, side in SIDES.items():
        lung = rays_.both(cage, organs[f"{name}_top"], above, _half(rays, side))
        vessel = organs["vena_cava"] if side < 0 else organs["knob"]
        solid = rays_.covered(lung, [heart, mediastinum, organs[f"{name}_dome"], aorta, vessel])
        silhouettes[f"{name}_lung"] = rays_.extent(lung) * scale
        lungs = lungs + (rays_.extent(lung) - solid).clamp(min=0.0) * scale
    breasts = torch.zeros_like(scale)
    limbs = torch.zeros_like(scale)
    for name in SIDES:
        for kind in ("breast", "arm"):
            part = organs[f"{name}_{kind}"]
            outside = (rays_.extent(part) - rays_.extent(rays_.both(part, body))) * scale
            if kind == "breast":
                breasts = breasts + outside
            else:
                limbs = limbs + outside
    return Paths(
        body=rays_.extent(body) * scale + limbs,
        lean=rays_.extent(lean) * scale + 0.8 * limbs,
        breast=breasts,
        lungs=lungs,
        gas=torch.zeros_like(scale),
        silhouettes=silhouettes,
    )


def _half(rays: Rays, side: int) -> Interval:
    """Return where rays run on one side of the midline."""
    d = rays.direction[0]
    d = d + (d.abs() < 1e-6).to(d.dtype) * 1e-6
    crossing = -rays.source[:, 0, None, None] / d
    rising = (d * side > 0).to(d.dtype)
    return rising * crossing - (1 - rising) * 2.0, rising * 2.0 + (1 - rising) * crossing
