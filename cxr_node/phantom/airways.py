"""Trachea, main bronchi, hila and the branching vessels of the lungs."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cxr_node.phantom.shapes import SIDES
from cxr_node.phantom.solids import Branches, Float64, Part, Tube, profile, spline
from cxr_node.phantom.thorax import PatientAnatomy
from cxr_node.phantom.torso import Torso

GENERATIONS = 10
"""Divisions of a vascular tree: 1024 tips a tree, two trees (arteries, veins) a lung."""


def airway(anatomy: PatientAnatomy) -> list[Tube]:
    """Return the trachea and the main bronchi as tubes of air."""
    shape, r = anatomy.shape, anatomy.trachea_width_mm / 2
    top = anatomy.apex_mm + 95.0
    swerve = 1.5 + 1.5 * shape.trachea_deviation
    y_axis = np.array([0.0, 1.0, 0.0])
    trachea = spline((0.3 * swerve, -8, top), (0.5 * swerve, -2, anatomy.apex_mm), (-swerve, 10, 40), (-swerve, 14, 2))
    right = spline((-swerve, 14, 4), (-14 - swerve, 16, -12), (-30, 18, -26), (-38, 22, -50))
    left = spline((-swerve, 14, 4), (16, 18, -12), (36, 22, -24), (46, 28, -44))

    def pipe(part: Part, line: Float64, *ratios: tuple[float, float]) -> Tube:
        return Tube(part=part, line=line, radii=profile(*((a * r, b * r) for a, b in ratios)), up=y_axis)

    return [
        pipe(Part.TRACHEA, trachea, (1.02, 1.0), (0.98, 1.0), (0.98, 1.0), (1.1, 1.0)),
        pipe(Part.BRONCHI, right, (0.8, 0.8), (0.7, 0.7), (0.5, 0.5)),
        pipe(Part.BRONCHI, left, (0.75, 0.75), (0.62, 0.62), (0.42, 0.42)),
    ]


def lung_points(torso: Torso, side: int, count: int, generator: np.random.Generator) -> Float64:
    """Return `count` points (count, 3) spread over one lung, a little inside its surface."""
    bottom = torso.sulcus_mm + 15.0
    top = torso.cage.top_mm - 14.0
    points_inside = np.empty((0, 3))
    while len(points_inside) < count:
        z = generator.uniform(bottom, top, 3 * count)
        level, medial = torso.cage.at(z), torso.mediastinum.at(z)[:, 0]
        x = side * (medial + generator.uniform(0, 1, 3 * count) * (level[:, 0] - medial))
        y = level[:, 3] + generator.uniform(-1, 1, 3 * count) * level[:, 1]
        points = np.stack([x, y, z], axis=1)
        points_inside = np.concatenate([points_inside, points[inside_lung(torso, points, side, shrink=0.93)]])
    return points_inside[:count]


def inside_lung(torso: Torso, points: Float64, side: int, *, shrink: float = 1.0) -> npt.NDArray[np.bool_]:
    """Return which points (n, 3) lie in a lung: in the cage (scaled by `shrink`), above the dome, outside the heart."""
    level, heart, middle = (barrel.at(points[:, 2]) for barrel in (torso.cage, torso.heart, torso.mediastinum))
    free = (_radius(points, level) < shrink**2) & (_radius(points, middle) > 1.0) & (points[:, 2] > torso.sulcus_mm)
    within = (points[:, 2] > torso.heart.bottom_mm) & (points[:, 2] < torso.heart.top_mm)
    free &= ~within | (_radius(points, heart) > 1.0)
    dome = torso.organs["left_dome" if side > 0 else "right_dome"]
    inside: npt.NDArray[np.bool_] = free & (np.linalg.norm((points - dome.center) @ dome.matrix.T, axis=1) > 1.0)
    return inside


def _radius(points: Float64, level: Float64) -> Float64:
    """Return the square of each point's distance from the middle of a barrel, in parts of the barrel's radius there."""
    radius: Float64 = ((points[:, 0] - level[:, 2]) / level[:, 0]) ** 2 + (
        (points[:, 1] - level[:, 3]) / level[:, 1]
    ) ** 2
    return radius


def _tree(points: Float64, root: Float64, radius_mm: float, generator: np.random.Generator) -> list[Branches]:
    """Grow a tree from `root` into `points`: halve the points again and again, and grow towards each half's middle."""
    cells, nodes, radius = points[None], root[None], np.array([radius_mm])
    heading = np.zeros_like(nodes)
    grown = []
    for generation in range(GENERATIONS):
        spread = cells.max(1) - cells.min(1)
        axis = (spread * generator.uniform(0.6, 1.4, spread.shape)).argmax(1)
        order = np.take_along_axis(cells, axis[:, None, None], 2)[..., 0].argsort(1)
        cells = np.take_along_axis(cells, order[..., None], 1).reshape(2 * len(cells), -1, 3)
        start, before = nodes.repeat(2, 0), heading.repeat(2, 0)
        end = start + (cells.mean(1) - start) * min(0.34 + 0.05 * generation, 0.75)
        run = end - start
        length = np.linalg.norm(run, axis=1, keepdims=True).clip(1e-6)
        thin = radius.repeat(2) * _THINNING * generator.uniform(0.9, 1.1, 2 * len(radius))
        grown.append(
            Branches(
                part=Part.LUNG_VESSELS,
                start=start,
                middle=start + 0.5 * run + 0.18 * length * before,
                end=end,
                radius_mm=np.stack([0.92 * radius.repeat(2), thin], axis=1),
            )
        )
        nodes, radius, heading = end, thin, run / length
    return grown


def vessels(anatomy: PatientAnatomy, torso: Torso, generator: np.random.Generator) -> list[Branches]:
    """Return the arteries and veins of both lungs, with radii by Murray's law from the hila outwards."""
    grown = []
    size = (anatomy.lung_height_mm / 224.0) * (1 + 0.08 * anatomy.shape.vessel_radius)
    for side in SIDES.values():
        spread = lung_points(torso, side, 2 * 2**GENERATIONS, generator)
        for artery, points in ((True, spread[::2]), (False, spread[1::2])):
            height = (-16.0 if side < 0 else -8.0) if artery else -34.0
            root = np.array([side * (27.0 if artery else 18.0), 12.0 if artery else 20.0, height])
            tree = _tree(points, root + generator.normal(0, 3, 3), (5.8 if artery else 4.8) * size, generator)
            outside = ~inside_lung(torso, np.concatenate([branch.middle for branch in tree]), side)
            ends = np.cumsum([len(branch.start) for branch in tree])
            for branch, bare in zip(tree, np.split(outside, ends[:-1]), strict=True):
                hidden = bare & (len(bare) > 4)
                grown.append(replace(branch, radius_mm=branch.radius_mm * np.where(hidden, 0.02, 1.0)[:, None]))
    return grown


_THINNING = 2 ** (-1 / 2.9)
