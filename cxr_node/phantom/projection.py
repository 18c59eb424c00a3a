"""Rays from the focal spot to the pixels, and their intervals inside shapes. All in torch.

A ray is O + t D, where D runs from source to pixel and O is where the ray crosses the plane through
the middle of the patient: t stays small, which keeps float32 exact enough at the edges of shapes.
O and D are affine in column and row, so the terms of the quadratic equation of an ellipsoid are
polynomials of the second degree, evaluated from vectors; those of a barrel are smooth, and are
computed on a coarse grid. Films are processed in strips of rows that fit the processor's cache.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional
from torch import Tensor

Interval = tuple[Tensor, Tensor]
"""Entry and exit of rays, as t; exit <= entry is a miss. Each (films, rows, columns)."""

_FAR = 2.0
_COARSE = 129
"""Grid points across and down on which barrels are solved."""
_STRIP_PIXELS = 65536


class Grid:
    """The pixels in some rows of a film, in coordinates of -1 to 1 from the first to the last column and row."""

    def __init__(
        self, rows: int, columns: int, device: torch.device, *, start: int = 0, stop: int | None = None
    ) -> None:
        self.rows, self.columns, self.device, self.start, self.stop = rows, columns, device, start, stop or rows
        self.column = torch.linspace(-1, 1, columns, device=device)
        self.row = torch.linspace(-1, 1, rows, device=device)[self.start : self.stop, None]

    def strips(self) -> "list[Grid]":
        """Return the film in strips that fit the processor's cache; on a GPU in one."""
        size = self.rows if self.device.type != "cpu" else max(8, _STRIP_PIXELS // self.columns)
        return [
            Grid(self.rows, self.columns, self.device, start=at, stop=min(at + size, self.rows))
            for at in range(0, self.rows, size)
        ]

    def quadratic(self, k: Tensor) -> Tensor:
        """Return (1, c, r) k (1, c, r)^T over the pixels, for `k` (films, 3, 3)."""
        k = k[..., None, None]
        along = (k[:, 1, 1] * self.column + (k[:, 0, 1] + k[:, 1, 0])) * self.column + k[:, 0, 0]
        down = (k[:, 2, 2] * self.row + (k[:, 0, 2] + k[:, 2, 0])) * self.row
        slope = (k[:, 1, 2] + k[:, 2, 1]) * self.row
        return torch.addcmul(along + down, slope, self.column)

    def linear(self, k: Tensor) -> Tensor:
        """Return (1, c, r) . k over the pixels, for `k` (films, 3)."""
        k = k[..., None, None]
        over_all: Tensor = (k[:, 0] + k[:, 1] * self.column) + k[:, 2] * self.row
        return over_all

    def fine(self, fields: Tensor) -> Tensor:
        """Return `fields` (films, n, coarse, columns) over the pixels."""
        return _interpolate_rows(fields, self.row[:, 0])


def upsample_columns(fields: Tensor, columns: int) -> Tensor:
    """Return `fields` (films, n, coarse, coarse) over more columns: (films, n, coarse, columns)."""
    size = (fields.shape[-2], columns)
    return torch.nn.functional.interpolate(fields, size=size, mode="bilinear", align_corners=True)


def _interpolate_rows(fields: Tensor, places: Tensor) -> Tensor:
    """Return `fields`, evenly spaced from -1 to 1 along their rows, at `places`, by linear interpolation."""
    steps = (places + 1) * ((fields.shape[-2] - 1) / 2)
    below = steps.floor().clamp_(max=fields.shape[-2] - 2)
    part, at = (steps - below)[:, None], below.long()
    return torch.lerp(fields.index_select(-2, at), fields.index_select(-2, at + 1), part)


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

    @property
    def direction(self) -> Tensor:
        """D, as constant, per column and per row: (films, 3 terms, 3 coordinates)."""
        return torch.stack([self.center - self.source, self.across, self.down], 1)

    @property
    def origin(self) -> Tensor:
        """O, likewise."""
        origin = self.direction * self.midway[:, None, None]
        origin[:, 0] += self.source
        return origin

    def grid(self) -> Grid:
        """Return all pixels."""
        return Grid(self.rows, self.columns, self.source.device)

    def length_terms(self) -> Tensor:
        """Return the terms (films, 3, 3) of the squared distance from source to pixel."""
        return (self.direction @ self.direction.transpose(1, 2)).float()

    def camera(self, film: int) -> Tensor:
        """Return the camera matrix (3, 4) from a point in mm to (column, row, 1) times its distance from the source.

        That distance is along the beam's axis and in parts of the distance from source to detector.
        """
        steps = torch.stack([self.across[film], self.down[film], self.center[film] - self.source[film]], 1)
        inverse = torch.linalg.inv(steps)
        half = torch.tensor([(self.columns - 1) / 2, (self.rows - 1) / 2], dtype=steps.dtype, device=steps.device)
        pixels = torch.cat([half[:, None] * (inverse[:2] + inverse[2:]), inverse[2:]])
        return torch.cat([pixels, -pixels @ self.source[film][:, None]], 1).float()


class Ellipsoids:
    """The ellipsoids |matrix (p - center)| <= 1, one per film: `center` (films, 3), `matrix` (films, 3, 3), float64."""

    def __init__(self, beam: Beam, center: Tensor, matrix: Tensor) -> None:
        gram = matrix.transpose(1, 2) @ matrix
        direction, offset = beam.direction, beam.origin
        offset[:, 0] -= center
        self._a = (direction @ gram @ direction.transpose(1, 2)).float()
        self._b = (offset @ gram @ direction.transpose(1, 2)).float()
        self._c = offset @ gram @ offset.transpose(1, 2)
        self._c[:, 0, 0] -= 1.0
        self._c = self._c.float()

    def crossed(self, grid: Grid) -> Interval:
        """Return the intervals of the rays of `grid`."""
        return _crossing(grid.quadratic(self._a), grid.quadratic(self._b), grid.quadratic(self._c))


class Barrels:
    """Barrels, one per film: `table` (films, levels, 4), `bounds` (films, 2) bottom and top in mm.

    The ellipse that a ray meets is the one at the height of the ray at mid-depth, or, with `follow`,
    at the heights where it enters and leaves.
    """

    def __init__(self, beam: Beam, table: Tensor, bounds: Tensor, *, follow: bool = False) -> None:
        points = _COARSE if follow else _COARSE // 2 + 1
        coarse = Grid(points, points, table.device)
        o = [coarse.linear(beam.origin[:, :, axis].float()) for axis in range(3)]
        d = [coarse.linear(beam.direction[:, :, axis].float()) for axis in range(3)]
        middle = -(o[0] * d[0] + o[1] * d[1]) / (d[0] * d[0] + d[1] * d[1])
        terms = list(_slice(o, d, table, bounds, o[2] + middle * d[2]))
        if follow:
            ends = [_slice(o, d, table, bounds, o[2] + t * d[2]) for t in _crossing(*terms)]
            terms = [*ends[0], *ends[1]]
        self._fields = upsample_columns(torch.stack(terms, 1), beam.columns)

    def crossed(self, grid: Grid) -> Interval:
        """Return the intervals of the rays of `grid`."""
        terms = grid.fine(self._fields).unbind(1)
        return _crossing(*terms[:3])[0], _crossing(*terms[-3:])[1]


class Spaces:
    """Half-spaces normal . p >= offset, one per film: `offset` (films,), the same `normal` (3,) for all."""

    def __init__(self, beam: Beam, normal: Tensor, offset: Tensor) -> None:
        self._place = beam.origin @ normal
        self._place[:, 0] -= offset
        self._place, self._speed = self._place.float(), (beam.direction @ normal).float()

    def crossed(self, grid: Grid) -> Interval:
        """Return the intervals of the rays of `grid`."""
        speed = grid.linear(self._speed)
        speed = speed + ((speed >= 0).float() * 2 - 1) * 1e-4
        crossing = (-grid.linear(self._place) / speed).clamp_(-_FAR, _FAR)
        rising = (speed > 0).float()
        return rising * (crossing + _FAR) - _FAR, rising * (_FAR - crossing) + crossing


def _crossing(a: Tensor, b: Tensor, c: Tensor) -> Interval:
    """Solve a t^2 + 2 b t + c = 0; where there is no solution, both ends are the nearest approach."""
    nearest = b / a
    half = (nearest * nearest).sub_(c / a).clamp_(min=0.0).sqrt_()
    return -nearest - half, half - nearest


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


def both(*intervals: Interval) -> Interval:
    """Return the intersection of `intervals`."""
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
    """Return the length of `interval`, as a share of the ray."""
    return (interval[1] - interval[0]).clamp_(min=0.0)


def covered(inside: Interval, parts: list[Interval]) -> Tensor:
    """Return the length of `inside` that lies in any of `parts`, overlaps counted once.

    Sorts the starts by a sorting network, then sums from first to last.
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
