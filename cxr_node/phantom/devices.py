"""Devices: pacemakers, catheters, tubes and monitor wires."""

import numpy as np

from cxr_node.phantom.layers import Effect, Layer
from cxr_node.phantom.solids import Float64, Part, Tube, profile, spline
from cxr_node.phantom.thorax import PatientAnatomy
from cxr_node.phantom.torso import Torso

_Y_AXIS = np.array([0.0, 1.0, 0.0])
_Z_AXIS = np.array([0.0, 0.0, 1.0])
Point = tuple[float, float, float]


def _wire(*points: Point, radius_mm: float, density: float) -> Tube:
    return Tube(
        part=Part.FINDINGS,
        line=spline(*points),
        radii=profile((radius_mm, radius_mm), (radius_mm, radius_mm)),
        up=_Y_AXIS + 0.3 * _Z_AXIS,
        core=density,
    )


def _offset(center: Float64, x: float, y: float, z: float) -> Point:
    return float(center[0] + x), float(center[1] + y), float(center[2] + z)


def _front(torso: Torso, z: float) -> float:
    level = torso.body.at(np.array(z))
    return float(level[3] - level[1])


def pacemaker(anatomy: PatientAnatomy, torso: Torso, side: int, generator: np.random.Generator) -> list[Layer]:
    """Return a can below the clavicle, and leads through the vena cava into right atrium and ventricle."""
    x, z = side * generator.uniform(88, 112), anatomy.apex_mm - generator.uniform(48, 75)
    y = _front(torso, z) + 14.0
    tall = generator.uniform(20, 25)
    can = Tube(
        part=Part.FINDINGS,
        line=spline((x - 23, y, z), (x - 12, y, z), (x + 12, y, z), (x + 23, y, z)),
        radii=profile((0.55 * tall, 2.5), (tall, 3.5), (tall, 3.5), (0.8 * tall, 3.0)),
        up=_Z_AXIS,
        core=0.55,
        shell_mm=0.6,
    )
    atrium, ventricle = torso.organs["right_atrium"].center, torso.organs["right_ventricle"].center
    start: tuple[Point, ...] = (
        (x - side * 16, y - 1, z + tall - 3),
        (side * 74, y + 18, anatomy.apex_mm - 30),
        (side * 34, -20.0, anatomy.apex_mm - 42),
        (-19.0, -8.0, 38.0),
        (-21.0, -6.0, 0.0),
    )
    ventricular = _wire(
        *start, _offset(atrium, -6, 2, -36), _offset(ventricle, 34, -6, -18), radius_mm=0.9, density=0.45
    )
    atrial = _wire(*start, _offset(atrium, -18, 4, -12), _offset(atrium, 4, -14, 2), radius_mm=0.9, density=0.45)
    leads = [ventricular, atrial][: int(generator.integers(1, 3))]
    return [Layer(effect=Effect.METAL, solids=(can, *leads), blur_mm=0.6, visible_mm=0.2)]


def line(anatomy: PatientAnatomy, torso: Torso, side: int, generator: np.random.Generator) -> list[Layer]:
    """Return a central venous catheter from the neck, the subclavian vein or the arm, its tip in the vena cava."""
    tip = float(generator.uniform(-30, 22))
    end: tuple[Point, ...] = ((-19.0, -8.0, 40.0), (-20.0, -6.0, tip))
    route = generator.random()
    points: tuple[Point, ...]
    if route < 0.5:
        points = (
            (side * 48, -10, anatomy.apex_mm + 75),
            (side * 34, -14, anatomy.apex_mm + 20),
            (side * 20, -18, anatomy.apex_mm - 28),
        )
    elif route < 0.75:
        points = (
            (side * 110, _front(torso, anatomy.apex_mm - 50) + 6, anatomy.apex_mm - 62),
            (side * 62, -34, anatomy.apex_mm - 34),
            (side * 24, -20, anatomy.apex_mm - 40),
        )
    else:
        reach = anatomy.clavicle_length_mm
        points = (
            (side * (reach + 30), 8, anatomy.apex_mm - 150),
            (side * (reach + 4), 4, anatomy.apex_mm - 58),
            (side * 80, -22, anatomy.apex_mm - 30),
            (side * 26, -20, anatomy.apex_mm - 40),
        )
    catheter = _wire(
        *points, *end, radius_mm=float(generator.uniform(0.8, 1.4)), density=float(generator.uniform(0.10, 0.22))
    )
    return [Layer(effect=Effect.METAL, solids=(catheter,), visible_mm=0.08)]


def tube(anatomy: PatientAnatomy, _torso: Torso, _side: int, generator: np.random.Generator) -> list[Layer]:
    """Return a tracheal tube with its tip 2 to 6 cm above the carina, and often a stomach tube."""
    tip = float(generator.uniform(20, 60))
    tracheal: tuple[Point, ...] = ((0, -10, anatomy.apex_mm + 100), (1, -3, anatomy.apex_mm), (0, 10, tip))
    radius = float(generator.uniform(4.2, 5.5))
    tubes = [
        Tube(
            part=Part.FINDINGS,
            line=spline(*tracheal),
            radii=profile((radius, radius), (radius, radius)),
            up=_Y_AXIS,
            core=0.0,
            shell_mm=0.05,
        ),
        _wire(*[(a + radius, b, c) for a, b, c in tracheal], radius_mm=0.6, density=0.25),
    ]
    if generator.random() < 0.7:
        dome = anatomy.dome_mm(1)
        gastric: tuple[Point, ...] = (
            (3, 0, anatomy.apex_mm + 100),
            (4, 20, anatomy.apex_mm),
            (6, 30, 0),
            (8, 28, dome + 20),
            (22, 5, dome - 28),
            (60, -12, dome - 55),
        )
        tubes.append(_wire(*gastric, radius_mm=1.5, density=0.12))
    return [Layer(effect=Effect.METAL, solids=tuple(tubes), visible_mm=0.08)]


def monitor(anatomy: PatientAnatomy, torso: Torso, generator: np.random.Generator) -> list[Layer]:
    """Return electrodes on the skin with wires that cross the chest at random."""
    solids = []
    half = anatomy.thoracic_width_mm / 2
    for x0, z0 in ((-0.62, 0.12), (0.62, 0.12), (0.72, 0.78), (-0.7, 0.75))[: int(generator.integers(2, 5))]:
        x = half * (x0 + generator.normal(0, 0.08))
        z = anatomy.apex_mm - anatomy.lung_height_mm * (z0 + generator.normal(0, 0.06))
        y = _front(torso, z) - 3.0
        solids.append(
            Tube(
                part=Part.FINDINGS,
                line=spline((x, y - 1.5, z), (x, y + 1.5, z)),
                radii=profile((4.5, 4.5), (4.5, 4.5)),
                up=_Z_AXIS,
                core=0.25,
            )
        )
        knots: list[Point] = [(x, y, z)]
        for _ in range(3):
            side_step, down_step = generator.normal(np.sign(x) * 22, 26), generator.normal(-40, 34)
            knots.append((knots[-1][0] + side_step, y - 8.0, knots[-1][2] + down_step))
        solids.append(_wire(*knots, radius_mm=0.55, density=0.35))
    return [Layer(effect=Effect.METAL, solids=tuple(solids), visible_mm=0.1)]
