"""Trunk: soft organs and the body around them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cxr_node.phantom.heart import chambers, great_vessels, sac
from cxr_node.phantom.shapes import LEVELS, SIDES, Barrel, Ellipsoid, Float64, smooth
from cxr_node.phantom.spine import BODY_DEPTH_MM, BODY_WIDTH_MM, spongy, vertebrae
from cxr_node.phantom.thorax import PatientAnatomy

Knots = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Torso:
    """The soft organs of one patient."""

    body: Barrel
    lean: Barrel
    """The body without the fat under its skin."""
    cage: Barrel
    mediastinum: Barrel
    heart: Barrel
    column: Barrel
    """The spine and the tissue beside it."""
    bodies: Barrel
    """The vertebral bodies, and between them the discs."""
    spongy: Float64
    """Density of the vertebral bodies from bottom to top, evenly spaced; 1 for compact bone."""
    organs: Mapping[str, Ellipsoid]
    arms: Mapping[str, Float64]
    """The direction (3,) in which each upper arm hangs."""
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
    (-0.10, 0.2),
    (0.0, 0.39),
    (0.05, 0.545),
    (0.1, 0.63),
    (0.2, 0.75),
    (0.3, 0.82),
    (0.45, 0.88),
    (0.6, 0.935),
    (0.8, 0.98),
    (1.0, 1.0),
    (1.2, 0.995),
    (1.4, 0.95),
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


def cage(anatomy: PatientAnatomy) -> Barrel:
    """Return the inner surface of the rib cage."""
    top, height = anatomy.apex_mm + 12.0, anatomy.lung_height_mm * (0.9 + 0.1 * anatomy.inspiration)
    bottom = anatomy.apex_mm - 1.6 * height
    z = np.linspace(bottom, top, LEVELS)
    place = (anatomy.apex_mm - z) / height
    half_width, half_depth = anatomy.thoracic_width_mm / 2, anatomy.depth_mm / 2
    taper = 1.0 + 0.05 * anatomy.shape.cage_taper * np.clip(0.6 - place, 0, 1)
    back, front = (_smooth(knots, place) * half_depth for knots in (_CAGE_BACK, _CAGE_FRONT))
    table = np.stack(
        [_smooth(_CAGE_WIDTH, place) * half_width * taper, (back - front) / 2, np.zeros(LEVELS), (back + front) / 2],
        axis=1,
    )
    return Barrel(bottom_mm=bottom, top_mm=top, table=table)


def _body(anatomy: PatientAnatomy, ribs: Barrel, *, wall_mm: float, arms_raised: bool) -> Barrel:
    """Return neck, shoulders and trunk, `wall_mm` of muscle and fat around the cage."""
    apex = anatomy.apex_mm
    top, bottom = apex + 190.0, ribs.bottom_mm - 60.0
    z = np.linspace(bottom, top, LEVELS)
    inner = ribs.at(z)
    above = z - apex
    steep = 1.0 + 0.12 * anatomy.shape.shoulder_slope
    shoulder = anatomy.clavicle_length_mm + 44.0 + 0.6 * wall_mm
    if arms_raised:
        shoulder = 0.80 * shoulder
    neck = 42.0 + 0.35 * wall_mm
    outline = (
        np.interp(
            above,
            [-170, -120, -70, -35, -10, 8, 24 * steep, 44 * steep, 64 * steep, 95],
            [0.55, 0.78, 0.93, 0.99, 0.94, 0.80, 0.58, 0.26, 0.07, 0.0],
        )
        * (shoulder - neck)
        + neck
    )
    chest = inner[:, 0] + wall_mm + 6.0 * np.clip((above + 170) / 60, 0, 1)
    width = np.where(
        above > -60, np.maximum(outline, chest * (above < -20)), np.maximum(chest, outline * (above > -165))
    )
    thin = np.interp(above, [-80, -20, 30, 70], [0.0, 14.0, 24.0, 34.0])
    depth = np.maximum(inner[:, 1] + 0.55 * wall_mm + 5.0 + thin, 60.0 + 0.35 * wall_mm)
    table = np.stack([smooth(width), smooth(depth), np.zeros(LEVELS), inner[:, 3] + 4.0], axis=1)
    return Barrel(bottom_mm=bottom, top_mm=top, table=table)


def _mediastinum(anatomy: PatientAnatomy, ribs: Barrel) -> Barrel:
    """Return the tissue between the lungs except heart, spine and the modelled great vessels."""
    z = np.linspace(ribs.bottom_mm, ribs.top_mm + 60.0, LEVELS)
    inner, apex = ribs.at(z), anatomy.apex_mm
    broad = anatomy.thoracic_width_mm / 290.0 * (1.0 + 0.08 * anatomy.shape.mediastinum_width)
    half = (
        np.interp(
            z,
            [-160, -60, -20, 0.3 * apex, apex - 40, apex - 20, apex - 8, apex + 2, apex + 16],
            [20, 21, 22, 25, 26, 27, 30, 35, 52],
        )
        * broad
    )
    depth = inner[:, 1] * np.interp(z, [-60, -10, 0.6 * apex, apex], [0.55, 0.90, 1.0, 1.5])
    table = np.stack([half, depth, np.full(LEVELS, 1.0), inner[:, 3] + 0.10 * inner[:, 1]], axis=1)
    return Barrel(bottom_mm=float(z[0]), top_mm=float(z[-1]), table=table)


def _diaphragm(anatomy: PatientAnatomy, ribs: Barrel, sulcus: float) -> dict[str, Ellipsoid]:
    domes = {}
    for name, side in SIDES.items():
        top = anatomy.dome_mm(side)
        a, b, _, y = ribs.at(np.array(top))
        peak = side * a * (0.46 + 0.05 * anatomy.shape.dome_peaks[side > 0])
        flat = 1.0 + 0.10 * anatomy.shape.dome_widths[side > 0]
        rise = top - sulcus
        domes[f"{name}_dome"] = Ellipsoid.of(
            (peak, y - 0.18 * b, top - rise),
            (0.66 * a * flat, 1.0 * b, rise),
            roll=side * (0.05 + 0.02 * anatomy.shape.dome_tilt),
        )
    return domes


def _limbs(anatomy: PatientAnatomy, *, arms_raised: bool) -> tuple[dict[str, Ellipsoid], dict[str, Float64]]:
    """Return arms and deltoid muscles, and the directions of the arms."""
    wall = 0.55 * (anatomy.muscle_mm + anatomy.fat_mm)
    spread = np.radians(np.clip(11.0 + 8.0 * anatomy.shape.arm_spread + (4.0 if anatomy.erect else -4.0), 3.0, 38.0))
    reach = anatomy.clavicle_length_mm + 22.0
    limbs, arms = {}, {}
    for name, side in SIDES.items():
        joint = np.array([side * reach, 8.0, anatomy.apex_mm - 38.0])
        if arms_raised:
            joint, hang = (
                np.array([side * 0.62 * reach, -15.0, anatomy.apex_mm + 25.0]),
                np.array([side * 0.12, -0.40, 0.91]),
            )
            pitch, roll = 0.41, side * 0.12
        else:
            hang, pitch, roll = np.array([side * np.sin(spread), -0.05, -np.cos(spread)]), 0.0, -side * spread
        center = joint + 165.0 * hang
        limbs[f"{name}_arm"] = Ellipsoid.of(
            (center[0], center[1], center[2]), (27.0 + wall, 30.0 + wall, 225.0), roll=roll, pitch=pitch
        )
        limbs[f"{name}_deltoid"] = Ellipsoid.of(
            (joint[0] - side * 6, joint[1], joint[2] - 4), (24.0 + wall, 44.0 + wall, 50.0 + wall)
        )
        arms[name] = hang / np.linalg.norm(hang)
    return limbs, arms


def _breasts(anatomy: PatientAnatomy, body: Barrel) -> dict[str, Ellipsoid]:
    """Return the breasts."""
    shape, parts = anatomy.shape, {}
    half, b = anatomy.thoracic_width_mm / 2, anatomy.breast_mm
    for name, side in SIDES.items():
        z = (
            anatomy.apex_mm
            - 0.84 * anatomy.lung_height_mm
            - 0.75 * b
            + 12.0 * shape.breast_height
            - (0 if anatomy.erect else -12)
        )
        level = body.at(np.array(z))
        flat = 0.50 if anatomy.erect else 0.4
        parts[f"{name}_breast"] = Ellipsoid.of(
            (side * (0.52 * half + 0.25 * b), float(level[3] - 0.90 * level[1]), z),
            (50.0 + 0.5 * b, 3.0 + flat * b, 50.0 + 0.8 * b),
            yaw=side * 0.45,
            pitch=-0.34,
        )
    return parts


def torso(anatomy: PatientAnatomy, *, arms_raised: bool = False) -> Torso:
    """Return the trunk of `anatomy`; for a lateral film the arms are raised."""
    ribs = cage(anatomy)
    sulcus = anatomy.dome_mm(-1) - 0.36 * anatomy.lung_height_mm * (0.75 + 0.25 * anatomy.inspiration)
    parts = chambers(anatomy)
    limbs, arms = _limbs(anatomy, arms_raised=arms_raised)
    body = _body(anatomy, ribs, wall_mm=anatomy.muscle_mm + anatomy.fat_mm, arms_raised=arms_raised)
    spine = vertebrae(anatomy, ribs.back)[::-1]
    z = np.linspace(spine[0, 2], spine[-1, 2], LEVELS)
    x, y = (np.interp(z, spine[:, 2], spine[:, axis]) for axis in (0, 1))
    wide = np.interp(z, spine[:, 2], BODY_WIDTH_MM[::-1]) * anatomy.vertebra_scale / 2
    deep = np.interp(z, spine[:, 2], BODY_DEPTH_MM[::-1]) * anatomy.vertebra_scale / 2
    return Torso(
        body=body,
        lean=_body(anatomy, ribs, wall_mm=anatomy.muscle_mm, arms_raised=arms_raised),
        cage=ribs,
        mediastinum=_mediastinum(anatomy, ribs),
        heart=sac(parts),
        bodies=Barrel(bottom_mm=z[0], top_mm=z[-1], table=np.stack([wide, deep, x, y], axis=1)),
        spongy=spongy(spine, np.linspace(z[0], z[-1], 512)),
        column=Barrel(bottom_mm=z[0], top_mm=z[-1], table=np.stack([wide + 2.0, wide + 6.0, x, y + 6.0], axis=1)),
        organs=parts | great_vessels(anatomy) | _diaphragm(anatomy, ribs, sulcus) | limbs | _breasts(anatomy, body),
        arms=arms,
        sulcus_mm=sulcus,
    )
