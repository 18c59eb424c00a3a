"""Rays from the focal spot to the pixels, and how long each runs inside a shape. All in torch.

A ray is O + t D, where D runs from source to pixel and O is where the ray crosses the plane through
the middle of the patient: t stays small, which keeps float32 exact enough at the edges of shapes.
O and D are affine in column and row, so the terms of the quadratic equations of an ellipsoid are
polynomials of the second degree, evaluated from vectors; those of a barrel are smooth, and are
found on a coarse grid.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional
from torch import Tensor

Interval = tuple[Tensor, Tensor]
"""Where rays enter and leave, as t; leave <= enter: missed. Each (films, rows, columns)."""

_FAR = 2.0
_COARSE = 65
"""Grid points across and down on which barrels are solved."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beam:
    """One X-ray source and flat detector per film, in patient coordinates (mm), float64.

    `source`, `center` (of the detector), `across` and `down` (from there to the middle of the right
    and of the lower edge's pixels) have shape (films, 3); `midway` (films,) is the part of the way
    from source to detector at which the middle of the patient lies.
    """

    source: Tensor
    center: Tensor
    across: Tensor
    down: Tensor
    midway: Tensor
    rows: int
    columns: int

    def rays(self) -> "Rays":
        """Return the rays to all pixel centers."""
        direction = torch.stack([self.center - self.source, self.across, self.down], 1)
        origin = direction * self.midway[:, None, None]
        origin[:, 0] += self.source
        return Rays(origin=origin, direction=direction, rows=self.rows, columns=self.columns)

    def camera(self, film: int) -> Tensor:
        """Return the matrix (3, 4) that takes a point in mm to column, row and 1, times its distance from the source.

        That distance is along the beam's axis and in parts of the distance from source to detector.
        """
        steps = torch.stack([self.across[film], self.down[film], self.center[film] - self.source[film]], 1)
        inverse = torch.linalg.inv(steps)
        half = torch.tensor([(self.columns - 1) / 2, (self.rows - 1) / 2], dtype=steps.dtype, device=steps.device)
        pixels = torch.cat([half[:, None] * (inverse[:2] + inverse[2:]), inverse[2:]])
        return torch.cat([pixels, -pixels @ self.source[film][:, None]], 1).float()


class Rays:
    """Every ray of a beam. `origin` and `direction` (films, 3 terms, 3): constant, per column, per row in -1 .. 1."""

    def __init__(self, *, origin: Tensor, direction: Tensor, rows: int, columns: int) -> None:
        self.origin, self.direction, self.rows, self.columns = origin, direction, rows, columns
        self._column = torch.linspace(-1, 1, columns, device=origin.device)
        self._row = torch.linspace(-1, 1, rows, device=origin.device)[:, None]

    def length_mm(self) -> Tensor:
        """Return the distance from source to pixel, (films, rows, columns)."""
        return self.product(self.direction, self.direction, torch.eye(3).to(self.direction)).sqrt()

    def product(self, first: Tensor, second: Tensor, gram: Tensor) -> Tensor:
        """Return first . gram . second over all pixels, of vectors that are affine in column and row."""
        k = torch.einsum("fai,fij,fbj->fab", first, gram.expand(len(first), 3, 3), second).float()[..., None, None]
        c, r = self._column, self._row
        along = k[:, 0, 0] + (k[:, 0, 1] + k[:, 1, 0]) * c + k[:, 1, 1] * c * c
        down = (k[:, 0, 2] + k[:, 2, 0]) * r + k[:, 2, 2] * r * r
        over_all: Tensor = (along + down) + ((k[:, 1, 2] + k[:, 2, 1]) * r) * c
        return over_all

    def coordinate(self, vectors: Tensor, axis: int) -> Tensor:
        """Return one coordinate of affine `vectors` over all pixels."""
        k = vectors[:, :, axis].float()[..., None, None]
        over_all: Tensor = (k[:, 0] + k[:, 1] * self._column) + k[:, 2] * self._row
        return over_all

    def thinned(self, rows: int, columns: int) -> "Rays":
        """Return rays over the same field, corner to corner, on another grid."""
        return Rays(origin=self.origin, direction=self.direction, rows=rows, columns=columns)

    def refine(self, fields: Tensor) -> Tensor:
        """Return `fields` (films, n, coarse, coarse) over all pixels."""
        size = (self.rows, self.columns)
        return torch.nn.functional.interpolate(fields, size=size, mode="bilinear", align_corners=True)


def _crossing(a: Tensor, b: Tensor, c: Tensor) -> Interval:
    """Solve a t^2 + 2 b t + c = 0; where there is no solution, both ends are the nearest approach."""
    nearest = b / a
    half = (nearest * nearest - c / a).clamp_(min=0.0).sqrt_()
    return -nearest - half, half - nearest


def ellipsoid(rays: Rays, center: Tensor, matrix: Tensor) -> Interval:
    """Return where rays cross the ellipsoids |matrix (p - center)| <= 1, one per film: (films, 3), (films, 3, 3)."""
    gram = matrix.transpose(1, 2) @ matrix
    offset = rays.origin.clone()
    offset[:, 0] -= center
    a, b = rays.product(rays.direction, rays.direction, gram), rays.product(offset, rays.direction, gram)
    return _crossing(a, b, rays.product(offset, offset, gram) - 1.0)


def barrel(rays: Rays, table: Tensor, bounds: Tensor, *, follow: bool = True) -> Interval:
    """Return where rays cross barrels, one per film: `table` (films, levels, 4), `bounds` (films, 2) bottom and top.

    The ellipse that a ray meets is the one at the height of the ray at mid-depth, or, with `follow`,
    at the heights where it enters and leaves.
    """
    coarse = rays.thinned(_COARSE, _COARSE)
    o = [coarse.coordinate(rays.origin, axis) for axis in range(3)]
    d = [coarse.coordinate(rays.direction, axis) for axis in range(3)]
    middle = -(o[0] * d[0] + o[1] * d[1]) / (d[0] * d[0] + d[1] * d[1])
    first = _slice(o, d, table, bounds, o[2] + middle * d[2])
    if not follow:
        fields = rays.refine(torch.stack(first, 1))
        return _crossing(fields[:, 0], fields[:, 1], fields[:, 2])
    ends = [_slice(o, d, table, bounds, o[2] + t * d[2]) for t in _crossing(*first)]
    fields = rays.refine(torch.stack([*ends[0], *ends[1]], 1))
    enter = _crossing(fields[:, 0], fields[:, 1], fields[:, 2])[0]
    return enter, _crossing(fields[:, 3], fields[:, 4], fields[:, 5])[1]


def _slice(o: list[Tensor], d: list[Tensor], table: Tensor, bounds: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the terms of the quadratic equation of rays and the ellipses of a barrel at heights `z`."""
    films, levels = table.shape[:2]
    bottom, top = bounds[:, 0, None, None], bounds[:, 1, None, None]
    place = ((z - bottom) * ((levels - 1) / (top - bottom))).clamp(0, levels - 1.001)
    below = place.floor()
    part = (place - below)[..., None]
    film = torch.arange(films, device=z.device)[:, None, None]
    at = below.long()
    rows = table[film, at] * (1 - part) + table[film, at + 1] * part
    width, depth, x, y = rows.unbind(-1)
    u, v, s, t = d[0] / width, d[1] / depth, (o[0] - x) / width, (o[1] - y) / depth
    return u * u + v * v, s * u + t * v, s * s + t * t - 1.0


def half_space(rays: Rays, normal: Tensor, offset: Tensor) -> Interval:
    """Return where normal . p >= offset; (films, 3) and (films,)."""
    place = torch.einsum("fai,fi->fa", rays.origin, normal.double())
    place[:, 0] -= offset
    speed = torch.einsum("fai,fi->fa", rays.direction, normal.double())
    p, s = (rays.coordinate(terms[:, :, None], 0) for terms in (place, speed))
    s = s + ((s >= 0).float() * 2 - 1) * 1e-4
    crossing = (-p / s).clamp(-_FAR, _FAR)
    rising = (s > 0).float()
    return rising * (crossing + _FAR) - _FAR, rising * (_FAR - crossing) + crossing


def both(*intervals: Interval) -> Interval:
    """Return where rays are inside all of `intervals`."""
    enter, leave = intervals[0]
    for start, end in intervals[1:]:
        enter, leave = torch.maximum(enter, start), torch.minimum(leave, end)
    return enter, leave


def hull(*intervals: Interval) -> Interval:
    """Return the smallest interval around those `intervals` that are not empty."""
    enter, leave = torch.full_like(intervals[0][0], _FAR), torch.full_like(intervals[0][0], -_FAR)
    for start, end in intervals:
        missed = (end <= start).to(start.dtype) * (2 * _FAR)
        enter, leave = torch.minimum(enter, start + missed), torch.maximum(leave, end - missed)
    return enter, leave


def extent(interval: Interval) -> Tensor:
    """Return the part of the way that rays spend in `interval`."""
    return (interval[1] - interval[0]).clamp_(min=0.0)


def covered(inside: Interval, parts: list[Interval]) -> Tensor:
    """Return how much of `inside` lies in any of `parts`, counting overlaps once.

    Sorts the starts by a network of comparisons, then walks from first to last.
    """
    pieces = [list(both(inside, part)) for part in parts]
    for length in range(len(pieces), 1, -1):
        for i in range(length - 1):
            _order(pieces, i, i + 1)
    total = torch.zeros_like(inside[0])
    reached = torch.full_like(inside[0], -_FAR)
    for start, end in pieces:
        total += (end - torch.maximum(start, reached)).clamp_(min=0.0)
        reached = torch.maximum(reached, end)
    return total


def _order(pieces: list[list[Tensor]], i: int, j: int) -> None:
    (first, first_end), (second, second_end) = pieces[i], pieces[j]
    swap = (first > second).to(first.dtype).mul_(second_end - first_end)
    pieces[i] = [torch.minimum(first, second), first_end + swap]
    pieces[j] = [torch.maximum(first, second), second_end - swap]
