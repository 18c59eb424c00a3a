"""Path lengths through tubes, branches and clouds: quadrature points, each spread over four pixels. All in torch.

Sections are projected before they are filled with points: the camera matrix is linear in homogeneous coordinates, so
three projected vectors give every point of a section.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cxr_node.phantom.solids import KNOTS, Branches, Cloud, Tube

_UNITS_PER_MM = 2.0**21
"""Paths are summed as integers, so that the sum does not depend on the order of the points; 1 m fits."""
_CHUNK = 32768
"""Points added at once: 128 KiB of float32, which fits the processor's cache."""
_GOLDEN = 2.399963229728653


class Points(NamedTuple):
    """Projected points: `homogeneous` (3, n), the volume of each in mm3 (n,), and the plane it is added to (n,)."""

    homogeneous: Tensor
    volume_mm3: Tensor
    slot: Tensor


class PathAccumulator:
    """Accumulates path lengths in mm on `slots` planes of (rows, columns)."""

    def __init__(self, *, pixel_mm2: float, slots: int, rows: int, columns: int, device: torch.device) -> None:
        self._pixel_mm2, self._shape = pixel_mm2, (slots, rows, columns)
        self._units = torch.zeros(slots * rows * columns, device=device, dtype=torch.int32)

    def add(self, points: Points) -> None:
        """Add `points`.

        A volume V at a point whose pixel has the area A on the plane through it and parallel to the
        detector adds V / A.
        """
        chunk = _CHUNK if points.slot.device.type == "cpu" else len(points.slot)
        for at in range(0, len(points.slot), max(1, chunk)):
            part = slice(at, at + chunk)
            self._add(points.homogeneous[:, part], points.volume_mm3[part], points.slot[part])

    def _add(self, homogeneous: Tensor, volume_mm3: Tensor, slot: Tensor) -> None:
        _, rows, columns = self._shape
        stretch = homogeneous[2].reciprocal()
        column, row = homogeneous[0] * stretch, homogeneous[1] * stretch
        weight = volume_mm3 * stretch.square_().mul_(_UNITS_PER_MM / self._pixel_mm2)
        left, top = column.floor(), row.floor()
        weight *= (left >= 0) & (left < columns - 1) & (top >= 0) & (top < rows - 1)
        right_part, low_part = column - left, row - top
        corner = top.clamp_(0, rows - 2).mul_(columns).add_(left.clamp_(0, columns - 2))
        index = corner.long().add_(slot * (rows * columns))
        low = weight * low_part
        high = weight - low
        for step, share in ((0, high), (columns, low)):
            right = share * right_part
            self._units.scatter_add_(0, index + step, (share - right).round_().to(torch.int32))
            self._units.scatter_add_(0, index + (step + 1), right.round_().to(torch.int32))

    def lengths_mm(self) -> Tensor:
        """Return the sums, float32 (slots, rows, columns)."""
        return self._units.reshape(self._shape).float().mul_(1.0 / _UNITS_PER_MM)


def cloud_points(clouds: Sequence[Cloud], camera: Tensor) -> Points:
    """Return the points of `clouds` projected by `camera` (3, 4)."""
    device = camera.device
    points = torch.from_numpy(np.concatenate([cloud.points for cloud in clouds]).astype(np.float32)).to(device)
    volume = torch.from_numpy(np.concatenate([cloud.volume_mm3 for cloud in clouds]).astype(np.float32)).to(device)
    slot = np.repeat([int(cloud.part) for cloud in clouds], [len(cloud.points) for cloud in clouds])
    return Points(camera[:, :3] @ points.T + camera[:, 3:], volume, torch.from_numpy(slot).to(device))


def tube_points(tubes: Sequence[Tube], camera: Tensor, step_mm: float) -> list[Points]:
    """Return quadrature points of `tubes` about `step_mm` apart, those of the same count together."""
    groups: dict[tuple[int, int, int], list[Tube]] = {}
    for tube in tubes:
        length = float(np.linalg.norm(np.diff(tube.line[::4], axis=0), axis=1).sum())
        girth = float(np.pi * tube.radii.mean(0).sum())
        flat = 1.6 if girth > 4 * length else 1.0
        steps, around = _round_up(flat * length / step_mm, 8, 1024), _round_up(girth / step_mm, 4, 96)
        most = 20.0 if tube.core < 0.1 else 120.0
        inner = 2 if around < 8 else round(0.03 * around**2 if tube.shell_mm == 0 else min(most, 6 + 0.012 * around**2))
        groups.setdefault((steps, around, inner), []).append(tube)
    return [_fill_tubes(group, *counts, camera) for counts, group in groups.items()]


def _round_up(count: float, least: int, most: int) -> int:
    """Return the next of `least` times 1, 1.5, 2, 3, 4, 6, 8 ... up to `most`: few sizes give few groups."""
    size = least
    while size < most and 3 * size < 2 * count:
        size *= 2
    return size if size >= min(count, most) else 3 * size // 2


def _fill_tubes(group: Sequence[Tube], steps: int, around: int, inner: int, camera: Tensor) -> Points:
    device = camera.device
    line, radii = _stack([tube.line for tube in group], device), _stack([tube.radii for tube in group], device)
    up = _stack([tube.up for tube in group], device)[:, None]
    at = (torch.arange(steps, device=device) + 0.5) * ((KNOTS - 1) / steps)
    below = at.long()
    part = (at - below)[:, None]
    run = (line[:, below + 1] - line[:, below]) * ((KNOTS - 1) / steps)
    center = line[:, below] + part * (line[:, below + 1] - line[:, below])
    size = radii[:, below] + part * (radii[:, below + 1] - radii[:, below])
    second = torch.linalg.cross(run, up.expand_as(run))
    first = torch.linalg.cross(second, run)
    length = run.norm(dim=2)
    angles, scales, areas, shells = _section(around, inner, device)
    core, shell = (_stack([np.array(getattr(tube, name)) for tube in group], device) for name in ("core", "shell_mm"))
    area = torch.pi * size[..., 0] * size[..., 1] * core[:, None]
    wall = torch.pi * (size[..., 0] + size[..., 1]) * shell[:, None]
    volume = (length * area)[..., None] * areas + (length * wall)[..., None] * shells
    first = first * (size[..., :1] / first.norm(dim=2, keepdim=True).clamp(min=1e-6))
    second = second * (size[..., 1:] / second.norm(dim=2, keepdim=True).clamp(min=1e-6))
    slot = torch.tensor([int(tube.part) for tube in group], device=device)
    section = torch.stack([angles.cos() * scales, angles.sin() * scales])
    homogeneous = _spread(center, first, second, section, camera, _turn(around))
    return Points(homogeneous, volume.reshape(-1), slot.repeat_interleave(steps * len(scales)))


def _turn(around: int) -> float:
    """Return by how much a section is turned against the last: the golden angle, and the golden part of a step.

    So neither the points inside nor the `around` points of the wall fall into rows.
    """
    step = 2 * math.pi / around
    return step * (round(_GOLDEN / step) + 0.618034)


def _spread(
    center: Tensor, first: Tensor, second: Tensor, section: Tensor, camera: Tensor, turn_by: float = _GOLDEN
) -> Tensor:
    """Return points (3, n) seen by `camera`: centers (tubes, steps, 3) plus `section` (2, points) in two directions.

    Each step's section is turned by `turn_by` (radians) against the one before.
    """
    turn = torch.arange(center.shape[1], device=center.device) * turn_by
    cos, sin = turn.cos()[:, None], turn.sin()[:, None]
    matrix = camera[:, :3].T
    frames = torch.stack(
        [center @ matrix + camera[:, 3], (cos * first + sin * second) @ matrix, (cos * second - sin * first) @ matrix],
        -1,
    )
    weights = torch.cat([torch.ones_like(section[:1]), section])
    return (frames.permute(2, 0, 1, 3).reshape(-1, 3) @ weights).reshape(3, -1)


def _section(around: int, inner: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return angle, scale, share of area and share of wall (n,) of the points in a section."""
    angles = [k * _GOLDEN * 1.618 for k in range(inner)] + [2 * math.pi * k / around for k in range(around)]
    scales = [math.sqrt((k + 0.5) / inner) for k in range(inner)] + [0.97] * around
    areas, shells = [1.0 / inner] * inner + [0.0] * around, [0.0] * inner + [1.0 / around] * around
    angle, scale, area, shell = (torch.tensor(values, device=device) for values in (angles, scales, areas, shells))
    return angle, scale, area, shell


def branch_points(branches: Sequence[Branches], camera: Tensor, step_mm: float) -> list[Points]:
    """Return quadrature points of `branches`, those of the same generation together."""
    groups: dict[int, list[Branches]] = {}
    for branch in branches:
        groups.setdefault(len(branch.start), []).append(branch)
    return [_fill_branches(group, camera, step_mm) for group in groups.values()]


def _fill_branches(group: Sequence[Branches], camera: Tensor, step_mm: float) -> Points:
    device = camera.device
    names = ("start", "middle", "end", "radius_mm")
    start, middle, end, radius = (_stack([getattr(one, name) for one in group], device).flatten(0, 1) for name in names)
    generation = len(group[0].start).bit_length() - 2
    steps = max(2, math.ceil((30.0 * 0.80**generation + 2.0) / step_mm))
    count = max(2, min(160, round(1.3 * (6.0 * 0.79**generation / step_mm) ** 2) + 1))
    run = end - start
    length = run.norm(dim=1, keepdim=True)
    at = ((torch.arange(steps, device=device) + 0.5) / steps)[:, None]
    line = (1 - at) ** 2 * start[:, None] + 2 * at * (1 - at) * middle[:, None] + at**2 * end[:, None]
    size = radius[:, :1] + at[:, 0] * (radius[:, 1:] - radius[:, :1])
    first = torch.linalg.cross(run, torch.tensor([0.31, 0.59, 0.74], device=device).expand_as(run))
    first = first / first.norm(dim=1, keepdim=True).clamp(min=1e-6)
    second = torch.linalg.cross(run / length.clamp(min=1e-6), first)
    k = torch.arange(count, device=device)
    ring = ((k + 0.5) / count).sqrt()
    section = torch.stack([(k * _GOLDEN).cos() * ring, (k * _GOLDEN).sin() * ring])
    homogeneous = _spread(line, size[..., None] * first[:, None], size[..., None] * second[:, None], section, camera)
    volume = (torch.pi * size.square() * length * (1.0 / (steps * count)))[:, :, None].expand(-1, -1, count)
    slot = torch.tensor([int(one.part) for one in group], device=device)
    return Points(homogeneous, volume.reshape(-1), slot.repeat_interleave(len(group[0].start) * steps * count))


def _stack(arrays: Sequence[npt.NDArray[np.generic]], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32)).to(device)
