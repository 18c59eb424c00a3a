"""Heart chambers, pericardium and great vessels as ellipsoids."""

from collections.abc import Mapping

import numpy as np

from cxr_node.phantom.shapes import LEVELS, Barrel, Ellipsoid, smooth
from cxr_node.phantom.thorax import PatientAnatomy


def chambers(anatomy: PatientAnatomy) -> dict[str, Ellipsoid]:
    """Return the chambers, whose total width follows the cardiothoracic ratio."""
    shape = anatomy.shape
    width = anatomy.cardiothoracic_ratio * anatomy.thoracic_width_mm
    right = width * (0.33 + 0.03 * shape.heart_right_share)
    left = width - right
    size = width / 128.0
    tall = (0.35 + 0.65 * size) * (1.02 + 0.12 * anatomy.inspiration) * anatomy.lung_height_mm / 224.0
    z = anatomy.dome_mm(1) - 17.0 + 4.0 * shape.heart_height + 48.0 * tall
    front = -0.26 * anatomy.depth_mm
    apex = 0.66 - 0.20 * anatomy.inspiration + 0.06 * shape.heart_tilt

    def at(
        x: float, y: float, up: float, semi: tuple[float, float, float], roll: float = 0.0, yaw: float = 0.0
    ) -> Ellipsoid:
        return Ellipsoid.of(
            (x, front + y, z + up * tall), (semi[0] * size, semi[1] * size, semi[2] * tall), roll=roll, yaw=yaw
        )

    return {
        "right_atrium": at(36 * size - right, 24, 8, (36, 33, 45), roll=0.12),
        "right_ventricle": at(6 * size, 2, -16, (52, 32, 33), roll=-0.2),
        "left_ventricle": at(left - 61 * size, 16, -12, (66, 38, 43), roll=apex, yaw=-0.3),
        "left_atrium": at(2 * size, 54, 30, (36, 24, 28)),
        "outflow": at(21 * size, 22, 42, (30, 26, 38), roll=-0.36),
    }


def sac(parts: Mapping[str, Ellipsoid]) -> Barrel:
    """Return one barrel around the chambers: the pericardial sac."""
    angle, rise = np.meshgrid(np.linspace(0, 2 * np.pi, 48, endpoint=False), np.linspace(-1, 1, 64))
    flat = np.sqrt(1 - rise**2)
    sphere = np.stack([flat * np.cos(angle), flat * np.sin(angle), rise], -1).reshape(-1, 3)
    surface = np.concatenate([one.center + sphere @ np.linalg.inv(one.matrix).T for one in parts.values()])
    bottom, top = surface[:, 2].min() - 2.0, surface[:, 2].max() + 2.0
    level = ((surface[:, 2] - bottom) / (top - bottom) * (LEVELS - 1)).round().astype(int)
    ends = np.full((4, LEVELS), np.nan)
    for row, (axis, pick) in enumerate(((0, np.fmin), (0, np.fmax), (1, np.fmin), (1, np.fmax))):
        pick.at(ends[row], level, surface[:, axis])
    measured = ~np.isnan(ends[0])
    levels = np.arange(LEVELS)
    ends = np.stack([smooth(smooth(np.interp(levels, levels[measured], row[measured]))) for row in ends])
    close = np.sqrt(np.clip(np.minimum(levels, LEVELS - 1 - levels) / 6.0, 0.0, 1.0))
    half_width, half_depth = (ends[1] - ends[0]) / 2 * close + 0.5, (ends[3] - ends[2]) / 2 * close + 0.5
    table = np.stack([half_width, half_depth, (ends[0] + ends[1]) / 2, (ends[2] + ends[3]) / 2], axis=1)
    return Barrel(bottom_mm=float(bottom), top_mm=float(top), table=table)


def great_vessels(anatomy: PatientAnatomy) -> dict[str, Ellipsoid]:
    r, shape = anatomy.aorta_width_mm / 2, anatomy.shape
    back = 0.24 * anatomy.depth_mm
    unfold = 0.20 * max(0.0, anatomy.age - 45.0) + 2.5 * shape.aorta_unfolding
    knob = 22.0 + 0.35 * unfold + 2.5 * shape.aortic_knob_position
    low, high = anatomy.dome_mm(1) - 90.0, 26.0 + 4 * shape.aortic_arch_height
    return {
        "knob": Ellipsoid.of((knob - 12.0, 14.0, high), (r + 12.0, 26.0, 1.35 * r), yaw=0.3),
        "descending_aorta": Ellipsoid.of(
            (15.0 + 0.30 * unfold, back, (high + low) / 2), (0.95 * r, 0.95 * r, (high + 6 - low) / 2), roll=-0.05
        ),
        "ascending_aorta": Ellipsoid.of(
            (-11.0 - 0.3 * unfold, -0.10 * anatomy.depth_mm, -8.0), (1.15 * r, 1.2 * r, 46.0), roll=-0.10
        ),
        "vena_cava": Ellipsoid.of((-19.0 - 2 * shape.vena_cava_position, -6.0, 20.0), (11.5, 13.0, 78.0), roll=0.03),
    }
