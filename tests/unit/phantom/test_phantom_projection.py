"""Path lengths against what geometry says."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from cxr_node.phantom import deposit, projection
from cxr_node.phantom.projection import Barrels, Beam, Ellipsoids, Interval
from cxr_node.phantom.solids import KNOTS, Tube, profile, spline

DISTANCE_MM = 1800.0
DETECTOR_MM = 200.0
"""From the origin to the detector, behind which nothing lies."""
PITCH_MM = 2.0
SIZE = 151


def beam() -> Beam:
    """A PA beam, its axis through the origin along y."""
    half = PITCH_MM * (SIZE - 1) / 2

    def row(*values: float) -> torch.Tensor:
        return torch.tensor([values], dtype=torch.float64)

    return Beam(
        source=row(0, DISTANCE_MM - DETECTOR_MM, 0),
        center=row(0, -DETECTOR_MM, 0),
        across=row(half, 0, 0),
        down=row(0, 0, -half),
        midway=torch.tensor([1 - DETECTOR_MM / DISTANCE_MM], dtype=torch.float64),
        rows=SIZE,
        columns=SIZE,
    )


def lengths(interval: Interval) -> npt.NDArray[np.float32]:
    grid = beam().grid()
    way = grid.quadratic(beam().length_terms()).sqrt()
    measured: npt.NDArray[np.float32] = (projection.extent(interval) * way)[0].numpy()
    return measured


def directions() -> npt.NDArray[np.float64]:
    places = (np.arange(SIZE) - (SIZE - 1) / 2) * PITCH_MM
    x, z = np.meshgrid(places, -places)
    ways = np.stack([x, np.full_like(x, -DISTANCE_MM), z], axis=-1)
    normalised: npt.NDArray[np.float64] = ways / np.linalg.norm(ways, axis=-1, keepdims=True)
    return normalised


def test_a_ray_crosses_a_sphere_along_its_chord() -> None:
    center, radius = np.array([30.0, 10.0, -20.0]), 40.0
    sphere = Ellipsoids(beam(), torch.from_numpy(center)[None], torch.eye(3, dtype=torch.float64)[None] / radius)

    measured = lengths(sphere.crossed(beam().grid()))

    offset = center - np.array([0.0, DISTANCE_MM - DETECTOR_MM, 0.0])
    miss = np.linalg.norm(np.cross(directions(), offset), axis=-1)
    expected = 2 * np.sqrt(np.clip(radius**2 - miss**2, 0, None))
    assert expected.max() == pytest.approx(2 * radius, rel=0.01)
    assert np.abs(measured - expected).max() < 0.4


def test_a_barrel_of_equal_ellipses_is_a_cylinder() -> None:
    table = torch.tensor([[[60.0, 40.0, 5.0, -3.0]] * 16])
    barrel = Barrels(beam(), table, torch.tensor([[-500.0, 500.0]]), follow=True)

    measured = lengths(barrel.crossed(beam().grid()))

    ways = directions()
    start = np.array([0.0 - 5.0, DISTANCE_MM - DETECTOR_MM + 3.0])
    a = (ways[..., 0] / 60) ** 2 + (ways[..., 1] / 40) ** 2
    b = ways[..., 0] * start[0] / 60**2 + ways[..., 1] * start[1] / 40**2
    c = (start[0] / 60) ** 2 + (start[1] / 40) ** 2 - 1
    expected = 2 * np.sqrt(np.clip(b * b - a * c, 0, None)) / a
    inside = expected > 12
    assert np.abs(measured - expected)[inside].max() < 0.6


def test_overlaps_are_counted_once() -> None:
    generator = np.random.default_rng(5)
    starts = generator.uniform(0, 0.8, (5, 1, 8, 8)).astype(np.float32)
    ends = (starts + generator.uniform(-0.1, 0.4, starts.shape)).astype(np.float32)
    inside = (torch.full((1, 8, 8), 0.1), torch.full((1, 8, 8), 0.9))

    measured = projection.covered(
        inside, [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in zip(starts, ends, strict=True)]
    )

    places = (np.arange(4000) + 0.5) / 4000
    hit = ((places > starts[..., None]) & (places < ends[..., None])).any(0) & (places > 0.1) & (places < 0.9)
    assert np.abs(measured.numpy() - hit.mean(-1)).max() < 0.003


@pytest.mark.parametrize("shell_mm", [0.0, 0.8])
def test_a_tube_lays_down_its_own_volume(shell_mm: float) -> None:
    radius, length = 6.0, 80.0
    tube = Tube(
        part=0,
        line=spline((-length / 2, 0, 0), (length / 2, 0, 0)),
        radii=profile((radius, radius), (radius, radius)),
        up=np.array([0.0, 0.0, 1.0]),
        core=0.5,
        shell_mm=shell_mm,
    )
    canvas = deposit.PathAccumulator(
        pixel_mm2=PITCH_MM**2, slots=1, rows=SIZE, columns=SIZE, device=torch.device("cpu")
    )
    for points in deposit.tube_points([tube], beam().camera(0), 1.0):
        canvas.add(points)

    magnification = DISTANCE_MM / (DISTANCE_MM - DETECTOR_MM)
    volume = float(canvas.lengths_mm().sum()) * (PITCH_MM / magnification) ** 2
    expected = length * (0.5 * math.pi * radius**2 + 2 * math.pi * radius * shell_mm)
    assert volume == pytest.approx(expected, rel=0.01)
    assert len(tube.line) == KNOTS


def test_what_lies_twice_as_far_from_the_focal_spot_is_half_as_large() -> None:
    projected = beam().camera(0)
    points = torch.tensor([[10.0, 0.0, 0.0, 1.0], [10.0, (DISTANCE_MM - DETECTOR_MM) / 2, 0.0, 1.0]])

    column, _, depth = projected @ points.T

    offsets = column / depth - (SIZE - 1) / 2
    assert float(offsets[1] / offsets[0]) == pytest.approx(2.0, rel=1e-4)
