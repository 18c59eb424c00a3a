"""Tubes and clouds laid on the film: quadrature points, each spread over the four nearest pixels. All in torch."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cxr_node.phantom.projection import Beam
from cxr_node.phantom.solids import KNOTS, Branches, Cloud, Tube

_UNITS_PER_MM = 2.0**21
"""Paths are added up as integers, so that the order of the points cannot change the sum; 1 m fits."""
_GOLDEN = 2.399963229728653
_RINGS = ((0.30, 0.20), (0.62, 0.37), (0.88, 0.43))
"""Radius of each ring inside a section, and the part of the section's area it stands for."""


class Points(NamedTuple):
    """Quadrature points (n, 3) in mm, the volume of each in mm3, the plane it is added to, and its film."""

    points: Tensor
    volume_mm3: Tensor
    slot: Tensor
    film: Tensor


def place(points: Tensor, volume_mm3: Tensor, slot: Tensor, film: Tensor, beam: Beam, slots: int) -> Tensor:
    """Return path lengths in mm, shape (slots, rows, columns), of `points` (n, 3) seen from the focal spot.

    A volume V at a point whose pixel has the area A on the plane through it and parallel to the
    detector adds V / A. `slot` (n,) says into which plane of the result, `film` (n,) by which beam.
    """
    across, down = beam.across, beam.down
    pitch_x, pitch_y = across.norm(dim=1), down.norm(dim=1)
    normal = torch.linalg.cross(across, down)
    normal = normal / normal.norm(dim=1, keepdim=True)
    corner = beam.corner - beam.source
    away = (corner * normal).sum(1)
    ray = points - beam.source[film]
    stretch = away[film] / (ray * normal[film]).sum(1)
    column = (ray * (across / pitch_x[:, None] ** 2)[film]).sum(1) * stretch
    row = (ray * (down / pitch_y[:, None] ** 2)[film]).sum(1) * stretch
    column = column - ((corner * across).sum(1) / pitch_x**2)[film]
    row = row - ((corner * down).sum(1) / pitch_y**2)[film]
    weight = volume_mm3 * stretch.square() / (pitch_x * pitch_y)[film]
    inside = (column >= 0) & (column < beam.columns - 1) & (row >= 0) & (row < beam.rows - 1)
    weight = weight * inside
    column, row = column.clamp(0, beam.columns - 1.001), row.clamp(0, beam.rows - 1.001)
    left, top = column.floor(), row.floor()
    right_part, low_part = column - left, row - top
    index = (slot * beam.rows + top.long()) * beam.columns + left.long()
    canvas = torch.zeros(slots * beam.rows * beam.columns, device=points.device, dtype=torch.int32)
    weight = weight * _UNITS_PER_MM
    low, high = weight * low_part, weight * (1 - low_part)
    for step, part in (
        (0, high * (1 - right_part)),
        (1, high * right_part),
        (beam.columns, low * (1 - right_part)),
        (beam.columns + 1, low * right_part),
    ):
        canvas.scatter_add_(0, index + step, part.round().to(torch.int32))
    return canvas.reshape(slots, beam.rows, beam.columns).to(points.dtype) / _UNITS_PER_MM


def cloud_points(clouds: Sequence[tuple[int, Cloud]], slots: int, device: str) -> Points:
    """Return points, volumes, slots and films of `clouds`, each given with the number of its film."""
    points = np.concatenate([cloud.points for _, cloud in clouds]).astype(np.float32)
    volume = np.concatenate([cloud.volume_mm3 for _, cloud in clouds]).astype(np.float32)
    counts = [len(cloud.volume_mm3) for _, cloud in clouds]
    slot = np.repeat([film * slots + int(cloud.part) for film, cloud in clouds], counts)
    film = np.repeat([film for film, _ in clouds], counts)
    return Points(
        *(torch.from_numpy(array).to(device) for array in (points, volume, slot, film)),
    )


def tube_points(tubes: Sequence[tuple[int, Tube]], slots: int, step_mm: float, device: str) -> list[Points]:
    """Return quadrature points of `tubes`, in groups of the same number of steps and points per step."""
    groups: dict[tuple[int, int], list[tuple[int, Tube]]] = {}
    for film, tube in tubes:
        length = float(np.linalg.norm(np.diff(tube.line, axis=0), axis=1).sum())
        girth = float(np.pi * tube.radii.mean(0).sum())
        steps = 8 * max(1, int(np.ceil(length / step_mm / 8)))
        around = 4 * max(1, min(12, int(np.ceil(girth / step_mm / 4))))
        groups.setdefault((steps, around), []).append((film, tube))
    return [_expand(group, steps, around, slots, device) for (steps, around), group in groups.items()]


def _expand(group: Sequence[tuple[int, Tube]], steps: int, around: int, slots: int, device: str) -> Points:
    def stack(arrays: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays).astype(np.float32)).to(device)

    line, radii = stack([tube.line for _, tube in group]), stack([tube.radii for _, tube in group])
    up = stack([tube.up for _, tube in group])[:, None]
    core = torch.tensor([tube.core for _, tube in group], device=device)[:, None, None]
    shell = torch.tensor([tube.shell_mm for _, tube in group], device=device)[:, None, None]
    at = (torch.arange(steps, device=device) + 0.5) * ((KNOTS - 1) / steps)
    below = at.floor().long()
    part = (at - below)[:, None]
    run = (line[:, below + 1] - line[:, below]) * ((KNOTS - 1) / steps)
    center = line[:, below] + part * (line[:, below + 1] - line[:, below])
    size = radii[:, below] + part * (radii[:, below + 1] - radii[:, below])
    length = run.norm(dim=2, keepdim=True)
    along = run / length.clamp(min=1e-6)
    second = torch.linalg.cross(along, up.expand_as(along))
    second = second / second.norm(dim=2, keepdim=True).clamp(min=1e-6)
    first = torch.linalg.cross(second, along)
    angles, scales, areas, shells = _section(around, steps, device)
    one = (size[..., :1] * first)[:, :, None, :] * (angles.cos() * scales)[..., None]
    two = (size[..., 1:] * second)[:, :, None, :] * (angles.sin() * scales)[..., None]
    points = center[:, :, None, :] + one + two
    area = torch.pi * size[..., :1] * size[..., 1:]
    wall = torch.pi * (size[..., :1] + size[..., 1:]) * shell
    volume = length * (area * core * areas + wall * shells)
    film = torch.tensor([film for film, _ in group], device=device)
    slot = torch.tensor([film * slots + int(tube.part) for film, tube in group], device=device)
    each = steps * scales.shape[-1]
    return Points(points.reshape(-1, 3), volume.reshape(-1), slot.repeat_interleave(each), film.repeat_interleave(each))


def _section(around: int, steps: int, device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return angle (steps, n), and scale, share of area and share of wall (n,) of the points in a section."""
    angles, scales, areas, shells = [], [], [], []
    for k, (radius, share) in enumerate(_RINGS):
        count = max(2, round(around * radius * 0.6))
        angles += [2 * np.pi * i / count + k for i in range(count)]
        scales += [radius] * count
        areas += [share / count] * count
        shells += [0.0] * count
    angles += [2 * np.pi * i / around for i in range(around)]
    scales += [1.0] * around
    areas += [0.0] * around
    shells += [1.0 / around] * around
    turned = torch.tensor(angles, device=device) + torch.arange(steps, device=device)[:, None] * _GOLDEN
    scale, area, shell = (torch.tensor(values, device=device) for values in (scales, areas, shells))
    return turned, scale, area, shell


def branch_points(branches: Sequence[tuple[int, Branches]], slots: int, step_mm: float, device: str) -> list[Points]:
    """Return quadrature points of `branches`, those of the same generation together."""
    groups: dict[int, list[tuple[int, Branches]]] = {}
    for film, branch in branches:
        groups.setdefault(len(branch.start), []).append((film, branch))
    return [_bend(group, slots, step_mm, device) for group in groups.values()]


def _bend(group: Sequence[tuple[int, Branches]], slots: int, step_mm: float, device: str) -> Points:
    def join(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([getattr(branch, name) for _, branch in group]).astype(np.float32)).to(
            device
        )

    start, middle, end, radius = (join(name) for name in ("start", "middle", "end", "radius_mm"))
    run = end - start
    length = run.norm(dim=1, keepdim=True)
    generation = len(group[0][1].start).bit_length() - 2
    steps = max(2, math.ceil(55.0 * 0.80**generation / step_mm))
    at = ((torch.arange(steps, device=device) + 0.5) / steps)[:, None]
    line = (1 - at) ** 2 * start[:, None] + 2 * at * (1 - at) * middle[:, None] + at**2 * end[:, None]
    size = radius[:, :1] + at[:, 0] * (radius[:, 1:] - radius[:, :1])
    along = run / length.clamp(min=1e-6)
    first = torch.linalg.cross(along, torch.tensor([0.31, 0.59, 0.74], device=device).expand_as(along))
    first = first / first.norm(dim=1, keepdim=True).clamp(min=1e-6)
    second = torch.linalg.cross(along, first)
    count = max(2, min(36, round(6.4 * (7.0 * 0.79**generation / step_mm) ** 2) + 2))
    k = torch.arange(count, device=device)
    angle = k * _GOLDEN + torch.arange(steps, device=device)[:, None] * 1.7
    ring = ((k + 0.5) / count).sqrt()
    one, two = angle.cos() * ring, angle.sin() * ring
    spread = one[..., None] * first[:, None, None] + two[..., None] * second[:, None, None]
    points = line[:, :, None, :] + size[:, :, None, None] * spread
    volume = (torch.pi * size.square() * length * (1.0 / (steps * count)))[:, :, None].expand(-1, -1, count)
    sizes = torch.tensor([len(branch.start) for _, branch in group], device=device)
    film = torch.tensor([film for film, _ in group], device=device)
    slot = torch.tensor([film * slots + int(branch.part) for film, branch in group], device=device)
    each = sizes * (steps * count)
    return Points(points.reshape(-1, 3), volume.reshape(-1), slot.repeat_interleave(each), film.repeat_interleave(each))
