"""Rays from the focal spot to the pixels, and how long each runs inside a shape. All in torch."""

from dataclasses import dataclass

import torch
from torch import Tensor

Interval = tuple[Tensor, Tensor]
"""Where rays enter and leave, as fractions of the way from source to pixel; leave <= enter: missed."""

_FAR = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beam:
    """One X-ray source and flat detector per film, in patient coordinates (mm).

    `source`, `corner` (center of the upper left pixel), `across` and `down` (steps to the next column
    and row) have shape (films, 3).
    """

    source: Tensor
    corner: Tensor
    across: Tensor
    down: Tensor
    rows: int
    columns: int

    def directions(self) -> Tensor:
        """Return source-to-pixel vectors, shape (3, films, rows, columns)."""
        column = torch.arange(self.columns, device=self.source.device, dtype=self.source.dtype)
        row = torch.arange(self.rows, device=self.source.device, dtype=self.source.dtype)
        start = (self.corner - self.source).T[:, :, None, None]
        return start + self.across.T[:, :, None, None] * column + self.down.T[:, :, None, None] * row[:, None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rays:
    """Every ray of a beam: `direction` (3, films, rows, columns) and `length_mm` (films, rows, columns)."""

    source: Tensor
    direction: Tensor
    length_mm: Tensor


def rays_of(beam: Beam) -> Rays:
    """Return the rays from the source to each pixel center."""
    direction = beam.directions()
    return Rays(source=beam.source, direction=direction, length_mm=direction.square().sum(0).sqrt())


def _crossing(a: Tensor, b: Tensor, c: Tensor) -> Interval:
    """Solve a t^2 + 2 b t + c = 0; complex solutions give an empty interval."""
    discriminant = b * b - a * c
    root = discriminant.clamp(min=0.0).sqrt()
    middle = -b / a
    half = root / a
    empty = (discriminant <= 0).to(root.dtype) * _FAR
    return middle - half + empty, middle + half - empty


def ellipsoid(rays: Rays, center: Tensor, matrix: Tensor) -> Interval:
    """Return where rays cross the ellipsoids |matrix (p - center)| <= 1, one per film: (films, 3), (films, 3, 3)."""
    start = torch.einsum("fij,fj->fi", matrix, rays.source - center)
    gram = torch.einsum("fki,fkj->fij", matrix, matrix)
    pull = torch.einsum("fki,fk->fi", matrix, start)
    d = rays.direction
    b = pull[:, 0, None, None] * d[0] + pull[:, 1, None, None] * d[1] + pull[:, 2, None, None] * d[2]
    a = torch.zeros_like(d[0])
    for i in range(3):
        a = a + d[i] * (gram[:, i, i, None, None] * d[i])
        for j in range(i + 1, 3):
            a = a + (2 * gram[:, i, j, None, None]) * (d[i] * d[j])
    c = (start.square().sum(1) - 1.0)[:, None, None]
    return _crossing(a, b, c)


def barrel(rays: Rays, tables: list[Tensor], bounds: Tensor, *, rounds: int = 2) -> list[Interval]:
    """Return where rays cross barrels that share their heights, one interval for each of `tables`.

    The height at which a ray meets the surface is found by iteration from mid-depth with the first
    table; the others are solved at the heights so found. `tables` are (films, levels, 4), `bounds`
    (films, 2) bottom and top in mm.
    """
    source, d = rays.source, rays.direction
    middle = -((source[:, 0, None, None] * d[0] + source[:, 1, None, None] * d[1]) / (d[0] * d[0] + d[1] * d[1]))
    enter, leave = middle, middle
    for step in range(rounds + 1):
        last = step == rounds
        shapes = tables if last else tables[:1]
        fronts = _slices(shapes, bounds, source[:, 2, None, None] + enter * d[2])
        backs = fronts if step == 0 else _slices(shapes, bounds, source[:, 2, None, None] + leave * d[2])
        solved = [(_slice(rays, front)[0], _slice(rays, back)[1]) for front, back in zip(fronts, backs, strict=True)]
        if last:
            return solved
        enter, leave = (torch.minimum(torch.maximum(t, middle - 0.5), middle + 0.5) for t in solved[0])
    raise AssertionError("unreachable")


def _slices(tables: list[Tensor], bounds: Tensor, z: Tensor) -> list[list[Tensor]]:
    levels = tables[0].shape[1]
    bottom, top = bounds[:, 0, None, None], bounds[:, 1, None, None]
    place = ((z - bottom) * ((levels - 1) / (top - bottom))).clamp(0, levels - 1.001)
    below = place.floor()
    part = place - below
    offset = torch.arange(z.shape[0], device=z.device)[:, None, None] * levels
    index = below.long() + offset
    found = []
    for table in tables:
        flat = table.reshape(-1, 4).T.contiguous()
        rise = torch.cat([flat[:, 1:] - flat[:, :-1], torch.zeros_like(flat[:, :1])], 1)
        found.append([torch.take(flat[k], index) + part * torch.take(rise[k], index) for k in range(4)])
    return found


def _slice(rays: Rays, at: list[Tensor]) -> Interval:
    half_width, half_depth, x, y = at
    d, source = rays.direction, rays.source
    u, v = d[0] / half_width, d[1] / half_depth
    s, t = (source[:, 0, None, None] - x) / half_width, (source[:, 1, None, None] - y) / half_depth
    return _crossing(u * u + v * v, s * u + t * v, s * s + t * t - 1.0)


def above(rays: Rays, height: Tensor) -> Interval:
    """Return where rays run above the planes z = `height` (films,)."""
    dz = rays.direction[2]
    dz = torch.where(dz.abs() < 1e-6, torch.full_like(dz, 1e-6), dz)
    crossing = (height[:, None, None] - rays.source[:, 2, None, None]) / dz
    rising = (dz > 0).to(dz.dtype)
    return rising * crossing - (1 - rising) * _FAR, rising * _FAR + (1 - rising) * crossing


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
        missed = (end <= start).to(start.dtype) * _FAR
        enter, leave = torch.minimum(enter, start + missed), torch.maximum(leave, end - missed)
    return enter, leave


def extent(interval: Interval) -> Tensor:
    """Return the part of the way that rays spend in `interval`."""
    return (interval[1] - interval[0]).clamp(min=0.0)


def covered(inside: Interval, parts: list[Interval]) -> Tensor:
    """Return how much of `inside` lies in any of `parts`, counting overlaps once.

    Sorts the starts by a network of comparisons, then walks from first to last.
    """
    clipped = [both(inside, part) for part in parts]
    pieces = [[start, torch.maximum(end, start)] for start, end in clipped]
    for length in range(len(pieces), 1, -1):
        for i in range(length - 1):
            _order(pieces, i, i + 1)
    total = torch.zeros_like(inside[0])
    reached = torch.full_like(inside[0], -_FAR)
    for start, end in pieces:
        total = total + (end - torch.maximum(start, reached)).clamp(min=0.0)
        reached = torch.maximum(reached, end)
    return total


def _order(pieces: list[list[Tensor]], i: int, j: int) -> None:
    (first, first_end), (second, second_end) = pieces[i], pieces[j]
    swap = (first > second).to(first.dtype) * (second_end - first_end)
    pieces[i] = [torch.minimum(first, second), first_end + swap]
    pieces[j] = [torch.maximum(first, second), second_end - swap]
