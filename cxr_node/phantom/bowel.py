"""Bowel gas: the gastric bubble, and the colon with its haustra."""

import numpy as np

from cxr_node.phantom.solids import KNOTS, Float64, Part, Tube, spline
from cxr_node.phantom.thorax import PatientAnatomy
from cxr_node.phantom.torso import Torso

_Z_AXIS = np.array([0.0, 0.0, 1.0])
_Y_AXIS = np.array([0.0, 1.0, 0.0])


def bowel(anatomy: PatientAnatomy, torso: Torso, generator: np.random.Generator) -> list[Tube]:
    """Return tubes of gas; the stomach of an erect patient has a fluid level, that of a supine one a round bubble."""
    tubes = []
    if generator.random() < 0.75:
        tubes.append(_stomach(anatomy, torso, generator))
    if generator.random() < 0.55:
        tubes.append(_colon(anatomy, torso, generator, side=1))
    if generator.random() < 0.25:
        tubes.append(_colon(anatomy, torso, generator, side=-1))
    return tubes


def _stomach(anatomy: PatientAnatomy, torso: Torso, generator: np.random.Generator) -> Tube:
    dome = torso.organs["left_dome"].center
    half = float(generator.uniform(16, 42))
    tall = float(generator.uniform(0.35, 0.75)) * half
    top = anatomy.dome_mm(1) - float(generator.uniform(5, 14))
    x = dome[0] + float(generator.uniform(-22, 12))
    y = dome[1] + float(generator.uniform(-20, 15))
    height = np.linspace(0.0, 1.0, KNOTS)
    if anatomy.erect:
        radius = half * np.sqrt(np.clip(1 - height**2, 0.002, 1))
    else:
        tall, radius = 1.5 * tall, 0.8 * half * np.sqrt(np.clip(1 - (2 * height - 1) ** 2, 0.002, 1))
    line = np.stack([np.full(KNOTS, x), np.full(KNOTS, y), top - tall * (1 - height)], axis=1)
    radii = (
        np.stack([0.75 * radius, radius], axis=1)
        if generator.random() < 0.5
        else np.stack([0.6 * radius, 0.9 * radius], 1)
    )
    return Tube(part=Part.GAS, line=line, radii=radii, up=_Y_AXIS)


def _colon(anatomy: PatientAnatomy, torso: Torso, generator: np.random.Generator, *, side: int) -> Tube:
    a, b, _, y = torso.cage.at(np.array(anatomy.dome_mm(side) - 40.0))
    top = anatomy.dome_mm(side) - float(generator.uniform(16, 34)) - (30 if side < 0 else 0)
    wobble = generator.uniform(-8, 8, (4, 3))
    inner, outer = side * a * float(generator.uniform(0.15, 0.4)), side * a * float(generator.uniform(0.66, 0.8))
    knots = [
        (inner, y - 0.5 * b, top - 22),
        (0.5 * (inner + outer), y - 0.3 * b, top - 6),
        (outer, y, top - 14),
        (outer, y + 4, top - 75),
    ]
    line: Float64 = spline(*[tuple(np.add(knot, shift)) for knot, shift in zip(knots, wobble, strict=True)])
    haustra = float(generator.uniform(5, 8))
    wave = np.abs(np.sin(np.linspace(0, haustra * np.pi, KNOTS) + generator.uniform(0, 3)))
    radius = float(generator.uniform(9, 19)) * (0.5 + 0.5 * wave)
    return Tube(
        part=Part.GAS,
        line=line,
        radii=np.stack([radius, radius], axis=1),
        up=_Z_AXIS,
        core=float(generator.uniform(0.5, 1.0)),
    )
