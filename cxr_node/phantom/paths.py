"""How much of each tissue every ray crosses, and what of it is which structure. All in torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cxr_node.phantom import projection
from cxr_node.phantom.projection import Interval, Rays
from cxr_node.phantom.shapes import SIDES
from cxr_node.phantom.torso import Torso

CHAMBERS = ("right_atrium", "left_atrium", "right_ventricle", "left_ventricle")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paths:
    """Lengths in mm along the rays, each (films, rows, columns): the body, its lean part, breasts, and lung with air.

    `seen` holds lengths inside single structures, whatever else lies before or behind them.
    """

    body: Tensor
    lean: Tensor
    breasts: Tensor
    lungs: Tensor
    spine: Tensor
    """In the vertebral bodies, as compact bone."""
    seen: dict[str, Tensor]


class _Shapes:
    """The same shapes of several torsos, met by the rays of one film each."""

    def __init__(self, rays: Rays, torsos: Sequence[Torso]) -> None:
        self.rays, self.torsos = rays, torsos

    def tensor(self, values: Sequence[object], kind: torch.dtype = torch.float32) -> Tensor:
        return torch.tensor(np.array(values), dtype=kind, device=self.rays.origin.device)

    def organ(self, name: str) -> Interval:
        organs = [torso.organs[name] for torso in self.torsos]
        center = self.tensor([one.center for one in organs], torch.float64)
        return projection.ellipsoid(self.rays, center, self.tensor([one.matrix for one in organs], torch.float64))

    def barrel(self, name: str, *, follow: bool = False) -> Interval:
        barrels = [getattr(torso, name) for torso in self.torsos]
        bounds = self.tensor([[one.bottom_mm, one.top_mm] for one in barrels])
        return projection.barrel(self.rays, self.tensor([one.table for one in barrels]), bounds, follow=follow)

    def space(self, normal: tuple[float, float, float], offsets: Sequence[float]) -> Interval:
        return projection.half_space(
            self.rays, self.tensor([normal] * len(offsets)), self.tensor(offsets, torch.float64)
        )


def paths(rays: Rays, torsos: Sequence[Torso]) -> Paths:
    """Return the path lengths of `rays` through `torsos`, one torso a film."""
    shapes = _Shapes(rays, torsos)
    length = rays.length_mm()
    names = (
        "knob",
        "descending_aorta",
        "ascending_aorta",
        "vena_cava",
        *(f"{s}_{part}" for s in SIDES for part in ("dome", "top")),
    )
    organs = {name: shapes.organ(name) for name in names}
    cage, heart, mediastinum = shapes.barrel("cage", follow=True), shapes.barrel("heart"), shapes.barrel("mediastinum")
    column = projection.hull(shapes.barrel("column"), organs["descending_aorta"])
    center = projection.hull(heart, organs["ascending_aorta"])
    above = shapes.space((0, 0, 1), [torso.sulcus_mm for torso in torsos])
    seen = {name: projection.extent(organs[name]) for name in names}
    seen |= {
        "heart": projection.extent(heart),
        "mediastinum": projection.extent(mediastinum),
        "cage": projection.extent(cage),
    }
    free = torch.zeros_like(length)
    for name, side in SIDES.items():
        half = shapes.space((side, 0, 0), [0.0] * len(torsos))
        lung = projection.both(cage, organs[f"{name}_top"], above, half)
        middle = projection.hull(mediastinum, organs["vena_cava" if side < 0 else "knob"])
        solid = projection.covered(lung, [center, middle, organs[f"{name}_dome"], column])
        seen[f"{name}_lung"] = projection.extent(lung)
        free += (seen[f"{name}_lung"] - solid).clamp_(min=0.0)
    body, lean, breasts, chambers = _coarse(rays, torsos)
    spine = _spine(shapes) * length
    return Paths(
        body=body,
        lean=lean,
        breasts=breasts,
        lungs=free * length,
        spine=spine,
        seen={name: part * length for name, part in seen.items()} | chambers,
    )


def _coarse(rays: Rays, torsos: Sequence[Torso]) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
    """Return what needs no sharp edge, found on every second pixel: body, its lean part, breasts, heart chambers."""
    thin = rays.thinned((rays.rows + 1) // 2, (rays.columns + 1) // 2)
    shapes = _Shapes(thin, torsos)
    limbs = [shapes.organ(f"{name}_{part}") for name in SIDES for part in ("arm", "deltoid")]
    body = projection.hull(shapes.barrel("body"), *limbs)
    lean = projection.hull(shapes.barrel("lean"), *(_shrunk(limb) for limb in limbs))
    breasts = torch.zeros_like(body[0])
    for name in SIDES:
        breast = shapes.organ(f"{name}_breast")
        breasts += projection.extent(breast) - projection.extent(projection.both(breast, body))
    chambers = [projection.extent(shapes.organ(name)) for name in CHAMBERS]
    fields = torch.stack([projection.extent(body), projection.extent(lean), breasts, *chambers], 1)
    fine = rays.refine(fields * thin.length_mm()[:, None]).unbind(1)
    return fine[0], fine[1], fine[2], dict(zip(CHAMBERS, fine[3:], strict=True))


def _spine(shapes: _Shapes) -> Tensor:
    """Return the way through the vertebral bodies, weighted by their density at the height of its middle."""
    rays, bodies = shapes.rays, shapes.barrel("bodies")
    z = rays.coordinate(rays.origin, 2) + 0.5 * (bodies[0] + bodies[1]) * rays.coordinate(rays.direction, 2)
    table = shapes.tensor([torso.spongy for torso in shapes.torsos])
    levels = table.shape[1]
    bottom = shapes.tensor([torso.bodies.bottom_mm for torso in shapes.torsos])[:, None, None]
    top = shapes.tensor([torso.bodies.top_mm for torso in shapes.torsos])[:, None, None]
    place = ((z - bottom) * ((levels - 1) / (top - bottom))).clamp_(0, levels - 1.001)
    film = torch.arange(len(table), device=z.device)[:, None, None] * levels
    return projection.extent(bodies) * torch.take(table, place.round().long() + film)


def _shrunk(interval: Interval) -> Interval:
    """Return a limb without its fat: a tenth off both ends."""
    rim = 0.1 * (interval[1] - interval[0])
    return interval[0] + rim, interval[1] - rim
