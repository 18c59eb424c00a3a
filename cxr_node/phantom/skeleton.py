"""Skeleton: ribs, clavicles, scapulae, spine, sternum and upper arms as tubes and clouds."""

from collections.abc import Mapping

import numpy as np

from cxr_node.phantom.shapes import SIDES, Barrel
from cxr_node.phantom.solids import KNOTS, Cloud, Float64, Part, Tube, profile, spline
from cxr_node.phantom.spine import BODY_DEPTH_MM, BODY_WIDTH_MM, FIRST_THORACIC, vertebrae
from cxr_node.phantom.thorax import PatientAnatomy

_RIB_DROP_MM = np.array([33, 56, 76, 90, 99, 106, 111, 112, 106, 92, 62, 34], dtype=float)
_RIB_ARC = np.array([0.86, 0.83, 0.82, 0.81, 0.80, 0.79, 0.77, 0.73, 0.67, 0.60, 0.42, 0.27])
"""Where the bony rib ends, as part of the way from the back to the front of the cage."""


def _rib(anatomy: PatientAnatomy, ribs: Barrel, head: Float64, number: int, side: int) -> list[Tube]:
    arc = _RIB_ARC[number] * np.pi
    fan = np.linspace(0.0, 1.0, 2 * KNOTS)
    start = 0.16 if number else 0.30
    angle = start + fan * (arc - start)
    sex = 1.08 if anatomy.sex == "F" else 1.0
    drop = (
        _RIB_DROP_MM[number]
        * sex
        * anatomy.lung_height_mm
        / 224.0
        * (1.12 - 0.16 * anatomy.inspiration + 0.05 * anatomy.shape.rib_drop)
    )
    slope = fan ** (1.85 + 0.15 * anatomy.shape.rib_slope)
    z = (
        head[2]
        + 7.0 * np.exp(-(((fan - 0.14) / 0.13) ** 2))
        - drop * slope
        + 1.5 * anatomy.shape.rib_heights[number % 8]
    )
    inner = ribs.at(np.maximum(z, ribs.bottom_mm))
    x = side * (inner[:, 0] + 4.0) * np.sin(angle) + head[0] * (1 - fan)
    y = inner[:, 3] + (inner[:, 1] + 4.0) * np.cos(angle) + 5.0 * np.exp(-(((angle - 0.55) / 0.3) ** 2))
    line = np.stack([x, y, z], axis=1)
    tall, thick = anatomy.rib_height_mm / 2, 3.4 + 0.15 * (anatomy.rib_height_mm - 12.0)
    size = {0: 1.05, 1: 0.95, 10: 0.8, 11: 0.62}.get(number, 1.0)
    radii = (
        profile(
            (0.62 * tall, thick),
            (0.86 * tall, thick),
            (0.95 * tall, thick),
            (1.0 * tall, 0.9 * thick),
            (1.08 * tall, 0.9 * thick),
            (1.12 * tall, 0.85 * thick),
        )
        * size
    )
    up = np.array([0.0, 0.0, 1.0]) if number else np.array([side * 0.6, 0.1, 0.8])
    half = [(Part.POSTERIOR_RIBS, angle <= np.pi / 2), (Part.ANTERIOR_RIBS, angle > np.pi / 2)]
    tubes = []
    for part, inside in half:
        chosen = np.flatnonzero(inside)
        if len(chosen) < 4:
            continue
        at = np.linspace(chosen[0], min(chosen[-1] + 1, 2 * KNOTS - 1), KNOTS)
        cut = np.stack([np.interp(at, np.arange(2 * KNOTS), line[:, k]) for k in range(3)], axis=1)
        cut_radii = np.stack([np.interp(at / 2, np.arange(KNOTS), radii[:, k]) for k in range(2)], axis=1)
        thin = 1.0 if part is Part.POSTERIOR_RIBS else 0.62
        tubes.append(
            Tube(
                part=part,
                line=cut,
                radii=cut_radii,
                up=up,
                core=0.16 * thin,
                shell_mm=0.9 * anatomy.rib_cortex_mm * thin,
            )
        )
    return tubes


def _clavicle(anatomy: PatientAnatomy, ribs: Barrel, side: int) -> Tube:
    shape, length = anatomy.shape, anatomy.clavicle_length_mm
    tilt = 42.0 + 11.0 * shape.clavicle_tilt + 3.0 * side * shape.clavicle_asymmetry
    low = anatomy.apex_mm - 40.0 + 8.0 * shape.clavicle_height
    front = ribs.at(np.array(low))
    y = front[3] - front[1] - 6.0
    reach = np.sqrt(length**2 - tilt**2 - 45.0**2)
    curve = 1.0 + 0.2 * shape.clavicle_curve
    line = spline(
        (side * 17.0, y, low),
        (side * (17 + 0.22 * reach), y - 5 * curve, low + 0.16 * tilt + 4 * curve),
        (side * (17 + 0.5 * reach), y + 9, low + 0.58 * tilt + 4 * curve),
        (side * (17 + 0.76 * reach), y + 33, low + 0.97 * tilt),
        (side * (17 + reach), y + 46, low + tilt),
    )
    radii = profile((11.5, 10), (8.5, 8), (6.3, 6.5), (5.7, 6.2), (5.6, 6.6), (5.4, 8), (5.6, 10), (5.0, 10))
    part = Part.LEFT_CLAVICLE if side > 0 else Part.RIGHT_CLAVICLE
    scale = length / 150.0 * (1 + 0.05 * shape.clavicle_thickness)
    return Tube(part=part, line=line, radii=radii * scale, up=np.array([0.0, 0.0, 1.0]), core=0.16, shell_mm=1.25)


_HUMERAL_HEAD = tuple(
    (r, r) for r in (3.0, 14.0, 19.0, 22.0, 23.5, 23.5, 23.0, 21.0, 18.5, 16.5, 15.0, 13.0, 10.0, 6.0, 2.0)
)
"""Radii from the top of the head down its neck."""


def _plate(part: Part, corners: Float64, thickness_mm: float) -> Cloud:
    steps = 110
    u, v = (axis.ravel() for axis in np.meshgrid((np.arange(steps) + 0.5) / steps, (np.arange(steps) + 0.5) / steps))
    a, b, c = corners
    points = a + u[:, None] * ((b - a) + v[:, None] * (c - b))
    sag = (u * (1 - u) + v * (1 - v))[:, None] * np.array([0.0, 22.0, 0.0])
    area = 0.5 * float(np.linalg.norm(np.cross(b - a, c - a)))
    return Cloud(part=part, points=points + sag, volume_mm3=u * (2 * area * thickness_mm / steps**2))


def _shoulder(anatomy: PatientAnatomy, side: int, arm: Float64) -> tuple[list[Tube], list[Cloud]]:
    shape, top = anatomy.shape, anatomy.apex_mm
    wide = anatomy.clavicle_length_mm / 150.0
    swing = 10.0 * shape.shoulder_position + (6.0 if anatomy.erect else -8.0)

    def point(x: float, y: float, z: float) -> tuple[float, float, float]:
        return side * (x * wide + swing * min(1.0, (150 - x) / 50)), y, top + z + 4 * shape.shoulder_height

    glenoid, acromion = point(153, 18, -36), point(168, 10, 2)
    above, below = point(92, 62, 2), point(112, 74, -128)
    part = Part.LEFT_SCAPULA if side > 0 else Part.RIGHT_SCAPULA
    z_axis, y_axis = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])

    def bone(
        line: Float64,
        *radii: tuple[float, float],
        core: float = 0.2,
        cortex: float = 1.0,
        up: Float64 = y_axis,
        kind: Part = part,
    ) -> Tube:
        return Tube(part=kind, line=line, radii=profile(*radii), up=up, core=core, shell_mm=cortex)

    head = np.array(point(174, 12, -34))
    tubes = [
        bone(spline(glenoid, point(138, 48, -72), below), (8, 7), (4, 4), (3, 3.5), (3.5, 3.5)),
        bone(spline(above, point(94, 74, -50), below), (2.0, 2.0), (1.6, 1.8), (2.5, 2.5)),
        bone(spline(above, point(122, 45, -10), glenoid), (2, 2), (1.6, 2), (5, 5)),
        bone(spline(point(96, 78, -26), point(130, 62, -12), acromion), (2, 4), (3.5, 6), (6, 4.5), up=z_axis),
        bone(spline(acromion, point(176, -8, 0)), (4.5, 11), (3.5, 7), up=z_axis),
        bone(spline(point(140, 10, -26), point(136, -10, -16), point(146, -28, -26)), (7, 7), (5.5, 6), (4, 4)),
        bone(spline(point(155, 18, -20), point(154, 18, -52)), (9, 2.5), (11, 3), (9, 2.5), core=0.1, cortex=0.6),
        bone(
            head + arm * np.linspace(-23, 80, KNOTS)[:, None],
            *_HUMERAL_HEAD,
            core=0.15,
            cortex=0.7,
            kind=Part.OTHER_BONE,
        ),
        bone(
            head + arm * np.linspace(34, 270, KNOTS)[:, None],
            *((2, 2), (9, 9), (11, 11), *[(11, 11)] * 9),
            core=0.03,
            cortex=1.3,
            kind=Part.OTHER_BONE,
        ),
    ]
    return tubes, [_plate(part, np.array([glenoid, above, below]), 1.5)]


def _arches(anatomy: PatientAnatomy, centers: Float64) -> list[Tube]:
    """Pedicles (rings on a frontal film), transverse and spinous processes."""
    tubes = []
    scale = anatomy.vertebra_scale
    x_axis, z_axis = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])

    def add(
        line: Float64, *radii: tuple[float, float], up: Float64 = z_axis, core: float = 0.15, shell_mm: float
    ) -> None:
        tube = Tube(part=Part.SPINE, line=line, radii=profile(*radii), up=up, core=core, shell_mm=shell_mm)
        tubes.append(tube)

    for (x, y, z), wide, deep in zip(centers, BODY_WIDTH_MM * scale, BODY_DEPTH_MM * scale, strict=True):
        rear = y + deep / 2
        for side in SIDES.values():
            root = x + side * 0.36 * wide
            pedicle = spline((root, rear - 3, z + 3), (root, rear + 11, z + 2))
            add(pedicle, *[(5.0 * scale, 3.3 * scale)] * 2, core=0.1, shell_mm=0.35)
            transverse = spline((root, rear + 9, z + 2), (x + side * 29 * scale, rear + 18, z + 5))
            add(transverse, (5, 4), (3.5, 3.5), (4.5, 4), shell_mm=0.6)
            add(spline((root, rear + 12, z), (x, rear + 20, z - 5)), (7, 2.5), (6, 2.5), shell_mm=0.35)
        spinous = spline((x, rear + 18, z - 3), (x, rear + 42, z - 17))
        add(spinous, (2.5, 7), (2.3, 5.5), (3.2, 4), up=x_axis, shell_mm=0.8)
    return tubes


def _sternum(anatomy: PatientAnatomy, ribs: Barrel) -> list[Tube]:
    z = anatomy.apex_mm - np.array([38.0, 60.0, 85.0, 130.0, 175.0])
    inner = ribs.at(z)
    line = spline(*[(0.0, float(y), float(level)) for level, y in zip(z, inner[:, 3] - inner[:, 1] - 6.0, strict=True)])
    return [
        Tube(
            part=Part.OTHER_BONE,
            line=line,
            radii=profile((24, 5), (26, 5), (14, 4.5), (17, 4), (18, 4), (14, 3.5)),
            up=np.array([1.0, 0.0, 0.0]),
            core=0.12,
            shell_mm=0.45,
        )
    ]


def skeleton(anatomy: PatientAnatomy, ribs: Barrel, arms: Mapping[str, Float64]) -> tuple[list[Tube], list[Cloud]]:
    """Return the bones of `anatomy`; `arms` are the directions (3,) in which the upper arms hang."""
    centers = vertebrae(anatomy, ribs.back)
    tubes = [
        tube
        for number in range(12)
        for side in SIDES.values()
        for tube in _rib(anatomy, ribs, centers[FIRST_THORACIC + number], number, side)
    ]
    clouds = []
    for name, side in SIDES.items():
        tubes.append(_clavicle(anatomy, ribs, side))
        more, plates = _shoulder(anatomy, side, arms[name])
        tubes += more
        clouds += plates
    return tubes + _arches(anatomy, centers) + _sternum(anatomy, ribs), clouds
