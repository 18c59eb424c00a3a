"""Soft organs and the body around them, as ellipsoids and barrels.

An ellipsoid may be turned. A barrel is a stack of ellipses, one for each height, between which
half-width, half-depth and center are interpolated. Both are met by a ray in at most one interval,
so path lengths follow from arithmetic on intervals, not from sampling.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_node.phantom.thorax import Anatomy, rotation

Float64 = npt.NDArray[np.float64]
Knots = tuple[tuple[float, float], ...]

SIDES = {"right": -1, "left": 1}
LEVELS = 96
"""Heights at which a barrel is tabulated."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ellipsoid:
    """Points p with |matrix (p - center)| <= 1, in mm."""

    center: Float64
    matrix: Float64

    @classmethod
    def of(
        cls,
        center: tuple[float, float, float],
        semi_axes: tuple[float, float, float],
        *,
        yaw: float = 0.0,
        pitch: float = 0.0,
        roll: float = 0.0,
    ) -> "Ellipsoid":
        """Return the ellipsoid of `semi_axes` about x, y and z, then turned (radians)."""
        turn = rotation(yaw, pitch, roll)
        return cls(center=np.array(center), matrix=np.diag(1.0 / np.array(semi_axes)) @ turn.T)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Barrel:
    """A stack of ellipses. `table` is (LEVELS, 4): half-width, half-depth, center x, center y, from `bottom_mm` up."""

    bottom_mm: float
    top_mm: float
    table: Float64

    def at(self, z: Float64) -> Float64:
        """Return the rows of the table at heights `z`, interpolated, with a last axis of 4."""
        place = np.clip((z - self.bottom_mm) / (self.top_mm - self.bottom_mm), 0, 1) * (LEVELS - 1)
        below = np.minimum(place.astype(int), LEVELS - 2)
        part = (place - below)[..., None]
        rows: Float64 = self.table[below] * (1 - part) + self.table[below + 1] * part
        return rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Torso:
    """The soft organs of one patient."""

    body: Barrel
    muscle: Barrel
    cage: Barrel
    mediastinum: Barrel
    organs: Mapping[str, Ellipsoid]
    sulcus_mm: float
    """Height of the lowest point of the lungs, behind the domes."""


def _smooth(knots: Knots, at: Float64) -> Float64:
    places, values = np.array(knots).T
    curve = np.interp(np.linspace(at.min(), at.max(), 8 * LEVELS), places, values)
    kernel = np.hanning(8 * LEVELS // 14 | 1)
    padded = np.pad(curve, len(kernel) // 2, mode="edge")
    curve = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return np.interp(at, np.linspace(at.min(), at.max(), 8 * LEVELS), curve)


_CAGE_WIDTH: Knots = (
    (-0.10, 0.28),
    (0.0, 0.44),
    (0.05, 0.56),
    (0.1, 0.66),
    (0.2, 0.78),
    (0.3, 0.86),
    (0.45, 0.93),
    (0.6, 0.97),
    (0.8, 0.995),
    (1.0, 1.0),
    (1.2, 0.985),
    (1.4, 0.94),
    (1.7, 0.86),
)  # fractions of half the inner width, against (apex - z) / (apex - right dome)
_CAGE_BACK: Knots = ((-0.1, 0.35), (0.0, 0.48), (0.2, 0.76), (0.45, 1.0), (0.8, 1.02), (1.2, 0.92), (1.7, 0.75))
_CAGE_FRONT: Knots = (
    (-0.1, 0.1),
    (0.0, 0.0),
    (0.1, -0.2),
    (0.2, -0.38),
    (0.4, -0.68),
    (0.6, -0.87),
    (0.8, -0.98),
    (1.0, -1.02),
    (1.3, -0.95),
    (1.7, -0.85),
)


def cage(anatomy: Anatomy) -> Barrel:
    """Return the inner surface of the rib cage."""
    top, height = anatomy.apex_mm + 12.0, anatomy.lung_height_mm * (0.9 + 0.1 * anatomy.inspiration)
    bottom = anatomy.apex_mm - 1.6 * height
    z = np.linspace(bottom, top, LEVELS)
    place = (anatomy.apex_mm - z) / height
    half_width, half_depth = anatomy.thoracic_width_mm / 2, anatomy.depth_mm / 2
    taper = 1.0 + 0.05 * anatomy.shape[1] * np.clip(0.6 - place, 0, 1)
    back, front = (_smooth(knots, place) * half_depth for knots in (_CAGE_BACK, _CAGE_FRONT))
    table = np.stack(
        [_smooth(_CAGE_WIDTH, place) * half_width * taper, (back - front) / 2, np.zeros(LEVELS), (back + front) / 2],
        axis=1,
    )
    return Barrel(bottom_mm=bottom, top_mm=top, table=table)


def _body(anatomy: Anatomy, ribs: Barrel, *, wall_mm: float) -> Barrel:
    """Neck, shoulders and trunk, `wall_mm` of muscle and fat around the cage."""
    apex = anatomy.apex_mm
    top, bottom = apex + 190.0, ribs.bottom_mm - 60.0
    z = np.linspace(bottom, top, LEVELS)
    inner = ribs.at(z)
    above = z - apex
    slope = 1.0 + 0.1 * anatomy.shape[2]
    shoulder = anatomy.clavicle_length_mm + 26.0 + 0.9 * wall_mm
    neck = 48.0 + 0.5 * wall_mm
    outline = (
        np.interp(
            above,
            [-112, -92, -70, -40, -14, 8, 22 * slope, 42 * slope, 62 * slope, 90],
            [0, 0.93, 0.985, 1.0, 0.97, 0.86, 0.62, 0.27, 0.06, 0.0],
        )
        * (shoulder - neck)
        + neck
    )
    chest = inner[:, 0] + wall_mm + 14.0 * np.clip((above + 150) / 60, 0, 1)
    width = np.where(above > -92, np.maximum(outline, chest * (above < 0)), chest)
    depth_wall = 0.75 * wall_mm + 8.0
    thin = np.interp(above, [-60, 0, 40, 70], [0.0, 14.0, 22.0, 32.0])
    depth = np.maximum(inner[:, 1] + depth_wall + thin, 52.0 + 0.3 * wall_mm)
    table = np.stack([width, depth, np.zeros(LEVELS), inner[:, 3] + 6.0], axis=1)
    return Barrel(bottom_mm=bottom, top_mm=top, table=table)


def _mediastinum(anatomy: Anatomy, ribs: Barrel) -> Barrel:
    """Everything between the lungs that is neither heart nor great vessel."""
    z = np.linspace(ribs.bottom_mm, ribs.top_mm + 60.0, LEVELS)
    inner = ribs.at(z)
    broad = anatomy.thoracic_width_mm / 290.0 * (1.0 + 0.10 * anatomy.shape[3])
    half = (
        np.interp(
            z,
            [-160, -60, -20, 0.3 * anatomy.apex_mm, 0.75 * anatomy.apex_mm, anatomy.apex_mm + 20],
            [20, 21, 24, 26, 27, 34],
        )
        * broad
    )
    table = np.stack([half, inner[:, 1] + 26.0, np.full(LEVELS, 1.5), inner[:, 3]], axis=1)
    return Barrel(bottom_mm=float(z[0]), top_mm=float(z[-1]), table=table)


def _heart(anatomy: Anatomy) -> dict[str, Ellipsoid]:
    shape = anatomy.shape
    width = anatomy.cardiothoracic_ratio * anatomy.thoracic_width_mm
    right = width * (0.335 + 0.03 * shape[4])
    left = width - right
    size = width / 128.0
    bottom = anatomy.dome_mm(1) - 2.0 + 5.0 * shape[5]
    tall = size * (1.06 + 0.10 * anatomy.inspiration)
    z = bottom + 50.0 * tall
    front = -0.28 * anatomy.depth_mm
    apex = 0.62 - 0.16 * anatomy.inspiration + 0.06 * shape[6]
    return {
        "right_atrium": Ellipsoid.of(
            (36 * size - right, front + 34, z + 6 * tall), (36 * size, 34 * size, 46 * tall), roll=0.12
        ),
        "right_ventricle": Ellipsoid.of(
            (8 * size, front - 4, z - 18 * tall), (52 * size, 32 * size, 34 * tall), roll=-0.2
        ),
        "left_ventricle": Ellipsoid.of(
            (left - 61 * size, front + 12, z - 4 * tall), (66 * size, 38 * size, 45 * tall), roll=apex, yaw=-0.3
        ),
        "left_atrium": Ellipsoid.of((2 * size, front + 58, z + 28 * tall), (36 * size, 24 * size, 29 * tall)),
        "outflow": Ellipsoid.of((20 * size, front + 14, z + 44 * tall), (25 * size, 26 * size, 42 * tall), roll=-0.25),
    }


def _vessels(anatomy: Anatomy) -> dict[str, Ellipsoid]:
    r, shape = anatomy.aorta_width_mm / 2, anatomy.shape
    back = 0.26 * anatomy.depth_mm
    unfold = 0.20 * max(0.0, anatomy.age - 45.0) + 2.5 * shape[7]
    knob = 23.0 + 0.35 * unfold + 3.0 * shape[8]
    low = anatomy.dome_mm(1) - 60.0
    return {
        "knob": Ellipsoid.of((knob, 14.0, 24.0 + 4 * shape[9]), (1.04 * r, 30.0, 1.28 * r), yaw=0.35),
        "descending_aorta": Ellipsoid.of(
            (16.0 + 0.30 * unfold, back, (20.0 + low) / 2), (0.95 * r, 0.95 * r, (24.0 - low) / 2), roll=-0.05
        ),
        "ascending_aorta": Ellipsoid.of((-10.0 - 0.35 * unfold, -24.0, -6.0), (1.1 * r, 1.1 * r, 42.0), roll=-0.12),
        "vena_cava": Ellipsoid.of((-20.0 - 2 * shape[10], -8.0, 14.0), (11.0, 11.0, 66.0), roll=0.02),
    }


def _diaphragm(anatomy: Anatomy, ribs: Barrel, sulcus: float) -> dict[str, Ellipsoid]:
    domes = {}
    for name, side in SIDES.items():
        top = anatomy.dome_mm(side)
        a, b, _, y = ribs.at(np.array(top))
        rise = top - sulcus
        peak = side * a * (0.50 + 0.05 * anatomy.shape[11 + (side > 0)])
        flat = 1.0 + 0.10 * anatomy.shape[13 + (side > 0)]
        domes[f"{name}_dome"] = Ellipsoid.of(
            (peak, y - 0.16 * b, top - rise), (0.66 * a * flat, 1.0 * b, rise), roll=side * 0.06
        )
    return domes


def _flanks(anatomy: Anatomy, ribs: Barrel) -> dict[str, Ellipsoid]:
    """Lung tops, breasts and arms."""
    shape, flanks = anatomy.shape, {}
    half, wall = anatomy.thoracic_width_mm / 2, anatomy.muscle_mm + anatomy.fat_mm
    spread = np.radians(13.0 + 7.0 * shape[15] + (4.0 if anatomy.erect else -4.0))
    for name, side in SIDES.items():
        high = 3.0 * shape[16 + (side > 0)]
        flanks[f"{name}_top"] = Ellipsoid.of(
            (side * 0.36 * half, 0.0, anatomy.apex_mm - 190.0 + high), (0.80 * half, anatomy.depth_mm, 190.0)
        )
        reach = anatomy.clavicle_length_mm + 28.0
        center = (side * (reach + 150.0 * np.sin(spread)), 6.0, anatomy.apex_mm - 50.0 - 150.0 * np.cos(spread))
        flanks[f"{name}_arm"] = Ellipsoid.of(center, (32.0 + 0.6 * wall, 36.0 + 0.6 * wall, 215.0), roll=-side * spread)
        b = anatomy.breast_mm
        drop = anatomy.apex_mm - 0.72 * anatomy.lung_height_mm - 0.35 * b + 8.0 * shape[18]
        front = float(ribs.at(np.array(drop))[3] - ribs.at(np.array(drop))[1])
        flanks[f"{name}_breast"] = Ellipsoid.of(
            (side * (0.55 * half + 0.12 * b), front + 6.0, drop),
            (44.0 + 0.75 * b, 16.0 + b, 40.0 + 0.85 * b),
            yaw=side * 0.35,
        )
    return flanks


def torso(anatomy: Anatomy) -> Torso:
    """Return the soft organs of `anatomy`."""
    ribs = cage(anatomy)
    sulcus = anatomy.dome_mm(-1) - 0.36 * anatomy.lung_height_mm * (0.75 + 0.25 * anatomy.inspiration)
    organs = _heart(anatomy) | _vessels(anatomy) | _diaphragm(anatomy, ribs, sulcus) | _flanks(anatomy, ribs)
    return Torso(
        body=_body(anatomy, ribs, wall_mm=anatomy.muscle_mm + anatomy.fat_mm),
        muscle=_body(anatomy, ribs, wall_mm=anatomy.muscle_mm),
        cage=ribs,
        mediastinum=_mediastinum(anatomy, ribs),
        organs=organs,
        sulcus_mm=sulcus,
    )
