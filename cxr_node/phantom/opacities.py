"""Diseases of lung and pleura, as clouds of points inside the lung.

The points come from a jittered lattice inside the lung, so disease ends where the lung ends: an opacity that touches
heart or diaphragm removes the border between them.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cxr_node.phantom.airways import inside_lung
from cxr_node.phantom.layers import Effect, Layer
from cxr_node.phantom.pathology import Ball, Zone
from cxr_node.phantom.solids import KNOTS, Cloud, Float64, Part, Tube, profile, spline
from cxr_node.phantom.thorax import PatientAnatomy
from cxr_node.phantom.torso import Torso

_SPACING_MM = 3.0
_Z_AXIS = np.array([0.0, 0.0, 1.0])


class Lung:
    """One lung of one patient, filled with points: `points` (n, 3), each of `volume_mm3`."""

    def __init__(self, anatomy: PatientAnatomy, torso: Torso, side: int, generator: np.random.Generator) -> None:
        self.anatomy, self.torso, self.side, self.generator = anatomy, torso, side, generator
        half, deep = anatomy.thoracic_width_mm / 2, 0.62 * anatomy.depth_mm
        ranges = (
            np.arange(0, half, _SPACING_MM),
            np.arange(-deep, deep, _SPACING_MM),
            np.arange(torso.sulcus_mm, anatomy.apex_mm + 4, _SPACING_MM),
        )
        grid = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
        grid = (grid + generator.uniform(0, _SPACING_MM, grid.shape)) * (side, 1, 1)
        self.points: Float64 = grid[inside_lung(torso, grid, side)]
        self.volume_mm3 = _SPACING_MM**3

    def cloud(self, weights: Float64) -> Cloud:
        """Return the points with `weights` (n,), 1 for full density, without those of about 0."""
        dense = weights > 0.01
        return Cloud(part=Part.FINDINGS, points=self.points[dense], volume_mm3=weights[dense] * self.volume_mm3)

    def depth(self) -> Float64:
        """Return the relative distance of each point from the middle of the lung (0) to the ribs (1)."""
        level = self.torso.cage.at(self.points[:, 2])
        across = (self.points[:, 0] - level[:, 2]) / level[:, 0]
        deep: Float64 = np.hypot(across, (self.points[:, 1] - level[:, 3]) / level[:, 1])
        return deep

    def zone(self, zone: Zone) -> npt.NDArray[np.bool_]:
        """Return the points in a lobe; the middle one of the left lung is the lingula."""
        y, z = self.points[:, 1], self.points[:, 2]
        deep, tall = self.anatomy.depth_mm, self.anatomy.lung_height_mm
        # The oblique fissure runs from the fourth rib at the back to the dome, a third of the way from the front.
        oblique = 0.28 + 0.72 * (0.45 * deep - y) / (0.67 * deep)
        below = z < self.anatomy.apex_mm - oblique * tall
        low = z < self.anatomy.apex_mm - 0.52 * tall
        parts: dict[Zone, npt.NDArray[np.bool_]] = {
            Zone.LOWER: below,
            Zone.MIDDLE: ~below & low,
            Zone.UPPER: ~below & ~low,
        }
        return parts[zone]

    def noise(self, wavelength_mm: float) -> Float64:
        """Return a smooth random field at the points, about -1 to 1."""
        waves = self.generator.normal(0, 2 * np.pi / wavelength_mm, (10, 3))
        phases = self.generator.uniform(0, 2 * np.pi, 10)
        field: Float64 = np.cos(self.points @ waves.T + phases).sum(1) / 4.0
        return field


def _sigmoid(values: Float64, softness: float) -> Float64:
    step: Float64 = 1 / (1 + np.exp(-np.clip(values / softness, -40, 40)))
    return step


def consolidation(lung: Lung, zone: Zone, severity: float) -> list[Layer]:
    """Return fluid-filled alveoli in one lobe, patchy if mild, with air bronchograms if dense."""
    inside = np.flatnonzero(lung.zone(zone))
    if len(inside) == 0:
        inside = np.arange(len(lung.points))
    middle = lung.points[inside].mean(0)
    center = middle + (1 - severity) * (lung.points[lung.generator.choice(inside)] - middle)
    size = (22.0 + 48.0 * severity) * lung.generator.uniform(0.8, 1.25, 3)
    away = np.linalg.norm((lung.points - center) / size, axis=1)
    patches = 0.35 * lung.noise(26.0 + 30 * severity)
    weights = (
        _sigmoid(1.0 - away + patches, 0.10) * (0.35 + 0.60 * severity) * (1 + 0.25 * lung.noise(11.0)).clip(0.3, 1.4)
    )
    weights *= lung.zone(zone) if lung.generator.random() < 0.8 else 1.0
    root = np.array([lung.side * 32.0, 14.0, -28.0])
    tubes = []
    for _ in range(int(2 + 4 * severity)):
        end = center + lung.generator.normal(0, 0.45, 3) * size
        bend = (root + end) / 2 + lung.generator.normal(0, 6, 3)
        start = root + 0.45 * (end - root)
        line = spline(tuple(start), tuple(0.3 * bend + 0.35 * (start + end)), tuple(end))
        tubes.append(
            Tube(part=Part.FINDINGS, line=line, radii=profile((1.9, 1.9), (0.9, 0.9)), up=_Z_AXIS, core=-0.8 * severity)
        )
    return [Layer(effect=Effect.FILLS_LUNG, solids=(lung.cloud(weights), *tubes), blur_mm=2.4, visible_mm=9.0)]


def ball_consolidation(lung: Lung, ball: Ball) -> list[Layer]:
    """Return a ball of fluid-filled alveoli, without what of it lies outside the lung."""
    anatomy = lung.anatomy
    z = anatomy.apex_mm - ball.down * (anatomy.apex_mm - anatomy.dome_mm(lung.side))
    half_width, half_depth, middle_x, middle_y = lung.torso.cage.at(np.array(z))
    center = (
        middle_x + lung.side * ball.across * half_width,
        middle_y + (2 * ball.backward - 1) * half_depth,
        z,
    )
    away = np.linalg.norm((lung.points - center) / ball.radius_mm, axis=1)
    weights = _sigmoid(1.0 - away, 0.05) * ball.density
    return [Layer(effect=Effect.FILLS_LUNG, solids=(lung.cloud(weights),), blur_mm=2.4, visible_mm=4.0)]


def effusion(lung: Lung, severity: float) -> list[Layer]:
    """Return pleural fluid: up to a level with a meniscus if erect, behind the lung if supine."""
    points, torso = lung.points, lung.torso
    deep = lung.depth()
    if lung.anatomy.erect:
        dome = lung.anatomy.dome_mm(lung.side)
        lowest = torso.sulcus_mm
        level = (
            lowest
            + (0.45 + 0.55 * severity) * (dome - lowest)
            + max(0.0, severity - 0.2) * 0.75 * lung.anatomy.lung_height_mm
        )
        climb = (18.0 + 34.0 * severity) * deep**9
        weights = _sigmoid(level + climb - points[:, 2], 2.0)
    else:
        level_y = torso.cage.at(points[:, 2])
        behind = (points[:, 1] - level_y[:, 3]) / level_y[:, 1]
        low = np.clip((lung.anatomy.apex_mm - points[:, 2]) / lung.anatomy.lung_height_mm, 0, 1)
        weights = _sigmoid(behind - (0.93 - 0.75 * severity * (0.35 + 0.65 * low)), 0.05)
    return [Layer(effect=Effect.FILLS_LUNG, solids=(lung.cloud(weights),), blur_mm=2.0, visible_mm=14.0)]


def pneumothorax(lung: Lung, severity: float) -> tuple[list[Layer], Callable[[Float64], npt.NDArray[np.bool_]]]:
    """Return air around the lung with the pleural line, and a test for points (n, 3) without vessels."""
    gap = 0.08 + 0.42 * severity

    def edge(points: Float64) -> Float64:
        high = np.clip(1 - (lung.anatomy.apex_mm - points[:, 2]) / lung.anatomy.lung_height_mm, 0, 1)
        front = np.clip(-points[:, 1] / lung.anatomy.depth_mm + 0.5, 0, 1)
        place = high if lung.anatomy.erect else 0.35 * high + 0.9 * front
        width: Float64 = 1 - gap * (0.30 + 1.15 * place)
        return width

    deep = lung.depth()
    outside = deep - edge(lung.points)
    thick = 1.3 / (lung.anatomy.thoracic_width_mm / 2)
    line = np.exp(-0.5 * (outside / (2.0 * thick)) ** 2) * 0.35

    def bare(points: Float64) -> npt.NDArray[np.bool_]:
        level = lung.torso.cage.at(points[:, 2])
        wall = np.sqrt((points[:, 0] / level[:, 0]) ** 2 + ((points[:, 1] - level[:, 3]) / level[:, 1]) ** 2)
        is_bare: npt.NDArray[np.bool_] = (points[:, 0] * lung.side > 0) & (wall > edge(points))
        return is_bare

    air = Layer(effect=Effect.EMPTIES_LUNG, solids=(lung.cloud(_sigmoid(outside, thick)),), blur_mm=2.0, visible_mm=8.0)
    pleura = Layer(effect=Effect.FILLS_LUNG, solids=(lung.cloud(line),), blur_mm=1.2, masked=False)
    return [air, pleura], bare


def nodule_or_mass(lung: Lung, severity: float, *, mass: bool, zone: Zone | None) -> list[Layer]:
    """Return a nodule of 8 to 30 mm, or a mass of 32 to 80 mm with spicules.

    Above 30 mm it is a mass: Fleischner Society glossary, Radiology 2008;246:697-722.
    """
    generator = lung.generator
    radius = 16.0 + 24.0 * severity if mass else 4.0 + 11.0 * severity
    inner = (lung.depth() < 0.86) & (np.abs(lung.points[:, 0]) > 42)
    inner &= lung.points[:, 2] > lung.anatomy.dome_mm(lung.side) + radius
    third = (lung.anatomy.apex_mm - lung.points[:, 2]) / lung.anatomy.inspired_height_mm * 3
    if zone is not None:
        inner &= np.floor(third).astype(int) == list(Zone).index(zone)
    chosen = np.flatnonzero(inner) if inner.any() else np.arange(len(lung.points))
    center = lung.points[generator.choice(chosen)]
    step = radius / 9
    axis = np.arange(-1.35 * radius, 1.35 * radius, step)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    waves, phases = generator.normal(0, 2.2 / radius, (6, 3)), generator.uniform(0, 6, 6)
    bumps = (0.09 if mass else 0.05) * np.cos(grid @ waves.T + phases).sum(1)
    inside = np.linalg.norm(grid / generator.uniform(0.85, 1.1, 3), axis=1) < radius * (1 + bumps)
    density = generator.uniform(0.75, 1.0)
    solids: list[Cloud | Tube] = [
        Cloud(
            part=Part.FINDINGS,
            points=center + grid[inside] + generator.uniform(0, step, (inside.sum(), 3)),
            volume_mm3=np.full(int(inside.sum()), density * step**3),
        )
    ]
    for _ in range(int(generator.integers(5, 11)) if mass else 0):
        spicule = generator.normal(size=3)
        spicule *= radius / np.linalg.norm(spicule)
        solids.append(
            Tube(
                part=Part.FINDINGS,
                line=spline(tuple(center + 0.8 * spicule), tuple(center + spicule * generator.uniform(1.3, 1.7))),
                radii=profile((1.6, 1.6), (0.3, 0.3)),
                up=_Z_AXIS + 0.1,
            )
        )
    return [Layer(effect=Effect.FILLS_LUNG, solids=tuple(solids), blur_mm=0.12 * radius, visible_mm=0.35 * radius)]


def edema(lungs: list[Lung], severity: float) -> list[Layer]:
    """Return haze around the hila and towards the bases, and septal lines at the ribs."""
    solids: list[Cloud | Tube] = []
    for lung in lungs:
        hilum = np.array([lung.side * 38.0, 15.0, -28.0])
        near = np.exp(-((np.linalg.norm((lung.points - hilum) / (1.0, 1.0, 1.25), axis=1) / 62.0) ** 2))
        low = np.clip((lung.anatomy.apex_mm - lung.points[:, 2]) / lung.anatomy.lung_height_mm, 0, 1)
        weights = (
            severity
            * (0.05 + 0.50 * near + 0.12 * low)
            * (1 + 0.55 * lung.noise(14.0) + 0.3 * lung.noise(34.0)).clip(0.1, 2.2)
        )
        solids.append(lung.cloud(weights.clip(0, 0.95)))
        for _ in range(int(4 + 14 * severity)):
            z = lung.anatomy.dome_mm(lung.side) + lung.generator.uniform(-30, 45)
            a, b, _, y = lung.torso.cage.at(np.array(z))
            angle = lung.generator.uniform(-0.5, 0.6)
            rim = np.array([lung.side * a * np.cos(angle), y + b * np.sin(angle), z])
            inward = rim * (1 - lung.generator.uniform(8, 17) / a, 1, 1) + (0, 0, lung.generator.normal(0, 1.5))
            solids.append(
                Tube(
                    part=Part.FINDINGS,
                    line=spline(tuple(rim), tuple(inward)),
                    radii=profile((0.4, 4.0), (0.4, 4.0)),
                    up=_Z_AXIS,
                )
            )
    return [Layer(effect=Effect.FILLS_LUNG, solids=tuple(solids), blur_mm=1.4, visible_mm=6.0)]


def atelectasis(lung: Lung, severity: float) -> list[Layer]:
    """Return one to three plates of airless lung across a base (discoid atelectasis)."""
    generator, solids = lung.generator, []
    for _ in range(1 + int(severity * 2.5)):
        z = lung.anatomy.dome_mm(lung.side) + generator.uniform(10, 55)
        a = float(lung.torso.cage.at(np.array(z))[0])
        start, end = generator.uniform(0.25, 0.45) * a, generator.uniform(0.65, 0.92) * a
        slope = generator.normal(0.0, 0.30) * (end - start)
        y = generator.uniform(-25, 30)
        line = spline(
            (lung.side * start, y, z),
            (lung.side * (start + end) / 2, y, z + slope / 2 + generator.normal(0, 3)),
            (lung.side * end, y, z + slope),
        )
        thick = generator.uniform(1.2, 2.0) + 2.6 * severity
        solids.append(
            Tube(
                part=Part.FINDINGS,
                line=line,
                up=_Z_AXIS,
                radii=np.linspace(1.0, 0.55, KNOTS)[:, None] * (thick, generator.uniform(10, 26)),
            )
        )
    return [Layer(effect=Effect.FILLS_LUNG, solids=tuple(solids), blur_mm=0.8, visible_mm=2.0)]
