"""Path lengths of every ray through tissues and structures. All in torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cxr_node.phantom import projection
from cxr_node.phantom.projection import Barrels, Beam, Ellipsoids, Grid, Interval, Spaces
from cxr_node.phantom.shapes import SIDES
from cxr_node.phantom.torso import Torso

CHAMBERS = ("right_atrium", "left_atrium", "right_ventricle", "left_ventricle")
_VESSELS = ("knob", "descending_aorta", "ascending_aorta", "vena_cava")
_DOMES = ("right_dome", "left_dome")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paths:
    """Lengths in mm along the rays, each (films, rows, columns): the body, its lean part, breasts, and lung with air.

    `structures` holds lengths inside single structures, regardless of others before or behind them; "beside" is the
    mediastinum beside heart and aorta.
    """

    body: Tensor
    lean: Tensor
    breasts: Tensor
    lungs: Tensor
    spine: Tensor
    """In the vertebral bodies, as compact bone."""
    structures: dict[str, Tensor]


class _Shapes:
    """Shapes of several torsos, each with the rays of its own film."""

    def __init__(self, beam: Beam, torsos: Sequence[Torso]) -> None:
        self.beam, self.torsos = beam, torsos

    def tensor(self, values: Sequence[object], kind: torch.dtype = torch.float32) -> Tensor:
        return torch.tensor(np.array(values), dtype=kind, device=self.beam.source.device)

    def organ(self, name: str) -> Ellipsoids:
        organs = [torso.organs[name] for torso in self.torsos]
        center = self.tensor([one.center for one in organs], torch.float64)
        return Ellipsoids(self.beam, center, self.tensor([one.matrix for one in organs], torch.float64))

    def barrel(self, name: str, *, follow: bool = False) -> Barrels:
        barrels = [getattr(torso, name) for torso in self.torsos]
        bounds = self.tensor([[one.bottom_mm, one.top_mm] for one in barrels])
        return Barrels(self.beam, self.tensor([one.table for one in barrels]), bounds, follow=follow)

    def space(self, normal: tuple[float, float, float], offsets: Sequence[float]) -> Spaces:
        return Spaces(self.beam, self.tensor(normal, torch.float64), self.tensor(offsets, torch.float64))


class _Smooth:
    """Smooth shapes, computed on every second pixel: the outer body, and the mediastinum beside the heart."""

    names = ("body", "lean", "breasts", *CHAMBERS, "aorta", "beside")

    def __init__(self, beam: Beam, torsos: Sequence[Torso]) -> None:
        shapes = _Shapes(beam, torsos)
        self._length = beam.length_terms()
        self._limbs = [shapes.organ(f"{name}_{part}") for name in SIDES for part in ("arm", "deltoid")]
        self._breasts = [shapes.organ(f"{name}_breast") for name in SIDES]
        self._body, self._lean = shapes.barrel("body"), shapes.barrel("lean")
        self._organs = {name: shapes.organ(name) for name in (*CHAMBERS, *_VESSELS)}
        self._mediastinum, self._column = shapes.barrel("mediastinum"), shapes.barrel("column")

    def fields(self, grid: Grid) -> Tensor:
        """Return lengths in mm of `names`, then the ends of middle, column and ascending aorta, stacked second."""
        limbs = [one.crossed(grid) for one in self._limbs]
        body = projection.hull(self._body.crossed(grid), *limbs)
        lean = projection.hull(self._lean.crossed(grid), *(_without_fat(limb) for limb in limbs))
        breasts = torch.zeros_like(body[0])
        for one in self._breasts:
            breast = one.crossed(grid)
            breasts += projection.extent(breast) - projection.extent(projection.both(breast, body))
        organs = {name: one.crossed(grid) for name, one in self._organs.items()}
        mediastinum = self._mediastinum.crossed(grid)
        lengths = [projection.extent(body), projection.extent(lean), breasts]
        lengths += [projection.extent(organs[name]) for name in CHAMBERS]
        aorta = torch.stack([projection.extent(organs[name]) for name in _VESSELS[:3]]).amax(0)
        lengths += [aorta, torch.maximum(projection.extent(mediastinum), projection.extent(organs["vena_cava"]))]
        ray_mm = grid.quadratic(self._length).sqrt_()
        middle = projection.hull(mediastinum, organs["vena_cava"], organs["knob"])
        column = projection.hull(self._column.crossed(grid), organs["descending_aorta"])
        return torch.stack([*(part * ray_mm for part in lengths), *middle, *column, *organs["ascending_aorta"]], 1)


def _without_fat(interval: Interval) -> Interval:
    """Return a limb without its fat: shortened by a tenth at both ends."""
    rim = 0.1 * (interval[1] - interval[0])
    return interval[0] + rim, interval[1] - rim


class _Sharp:
    """Shapes with sharp edges: rib cage, heart, domes, and the vertebral bodies."""

    def __init__(self, beam: Beam, torsos: Sequence[Torso]) -> None:
        shapes = _Shapes(beam, torsos)
        self._length = beam.length_terms()
        self._domes = [shapes.organ(name) for name in _DOMES]
        self._heart, self._cage = shapes.barrel("heart"), shapes.barrel("cage", follow=True)
        self._above = shapes.space((0, 0, 1), [torso.sulcus_mm for torso in torsos])
        self._halves = {name: shapes.space((side, 0, 0), [0.0] * len(torsos)) for name, side in SIDES.items()}
        self._bodies = shapes.barrel("bodies")
        self._spongy = shapes.tensor([torso.spongy for torso in torsos])
        self._bounds = shapes.tensor([[torso.bodies.bottom_mm, torso.bodies.top_mm] for torso in torsos])
        self._height = beam.origin[:, :, 2].float(), beam.direction[:, :, 2].float()

    def lengths(self, grid: Grid, ends: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return path lengths in mm; "lungs" is aerated lung, "spine" counts as compact bone.

        `ends` are those of middle, column and ascending aorta on `grid`.
        """
        middle, column, aorta = (ends[0], ends[1]), (ends[2], ends[3]), (ends[4], ends[5])
        cage, heart, domes = (
            self._cage.crossed(grid),
            self._heart.crossed(grid),
            [one.crossed(grid) for one in self._domes],
        )
        inside = projection.both(cage, self._above.crossed(grid))
        solid = projection.covered(inside, [projection.hull(heart, aorta), middle, *domes, column])
        lengths = {name: projection.extent(dome) for name, dome in zip(_DOMES, domes, strict=True)}
        for name, space in self._halves.items():
            lengths[f"{name}_lung"] = projection.extent(projection.both(inside, space.crossed(grid)))
        lengths |= {"heart": projection.extent(heart), "cage": projection.extent(cage), "spine": self._bone(grid)}
        lengths["lungs"] = (projection.extent(inside) - solid).clamp_(min=0.0)
        ray_mm = grid.quadratic(self._length).sqrt_()
        return {name: part.mul_(ray_mm) for name, part in lengths.items()}

    def _bone(self, grid: Grid) -> Tensor:
        """Return the path through the vertebral bodies, weighted by their density at its mid-height."""
        bodies, levels = self._bodies.crossed(grid), self._spongy.shape[1]
        z = grid.linear(self._height[0]) + 0.5 * (bodies[0] + bodies[1]) * grid.linear(self._height[1])
        bottom, top = self._bounds[:, :1, None], self._bounds[:, 1:, None]
        place = ((z - bottom) * ((levels - 1) / (top - bottom))).clamp_(0, levels - 1.001)
        film = torch.arange(len(self._spongy), device=z.device)[:, None, None] * levels
        return projection.extent(bodies) * torch.take(self._spongy, place.round_().long() + film)


def paths(beam: Beam, torsos: Sequence[Torso]) -> Paths:
    """Return the path lengths of the rays of `beam` through `torsos`, one torso a film."""
    whole = beam.grid()
    half = Grid((beam.rows + 1) // 2, (beam.columns + 1) // 2, beam.source.device)
    smooth = _Smooth(replace(beam, rows=half.rows, columns=half.columns), torsos)
    sharp = _Sharp(beam, torsos)
    coarse = projection.upsample_columns(smooth.fields(half), beam.columns)
    parts = []
    for grid in whole.strips():
        fields = grid.fine(coarse).unbind(1)
        lengths = sharp.lengths(grid, fields[len(_Smooth.names) :])
        parts.append(lengths | dict(zip(_Smooth.names, fields, strict=False)))
    lengths = {name: torch.cat([part[name] for part in parts], 1) for name in parts[0]}
    body, lean, breasts, lungs, spine = (lengths.pop(name) for name in ("body", "lean", "breasts", "lungs", "spine"))
    return Paths(body=body, lean=lean, breasts=breasts, lungs=lungs, spine=spine, structures=lengths)
