"""Positions of the vertebrae, shared by trunk and skeleton."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cxr_node.phantom.thorax import PatientAnatomy

Float64 = npt.NDArray[np.float64]

SPACINGS_MM = np.array(
    [17.0, 17.5, 18.0, 18.5, 18.5, 19.0, 19.8, 20.6, 21.4, 22.0, 22.6, 23.2, 24.0, 25.0, 26.0, 29.0, 31.0]
)
"""Center to center, C4 to C5 down to L1 to L2 (Panjabi et al. 1991 for T1 to T12, with discs)."""
BODY_WIDTH_MM = np.array([22, 23, 24, 26, 28, 27, 26, 26, 27, 28, 29, 30, 31, 33, 36, 39, 42, 44], dtype=np.float64)
BODY_DEPTH_MM = np.array([16, 16, 16, 16, 17, 19, 21, 23, 25, 27, 28, 29, 30, 31, 31, 31, 32, 33], dtype=np.float64)
FIRST_THORACIC = 4
"""Index of T1 where C4 is 0."""


def vertebrae(anatomy: PatientAnatomy, back_of_cage: Callable[[Float64], Float64]) -> Float64:
    """Return the centers of the bodies of C4 to L2, shape (18, 3); `back_of_cage` gives y at heights z."""
    down = np.concatenate([[0.0], np.cumsum(SPACINGS_MM)]) * anatomy.lung_height_mm / 224.0
    z = anatomy.apex_mm + 13.0 + down[FIRST_THORACIC] - down
    y = back_of_cage(z) - 0.5 * BODY_DEPTH_MM * anatomy.vertebra_scale + 3.0
    neck = np.clip((z - anatomy.apex_mm) / 60.0, 0, 2)
    bend = (
        3.0
        * anatomy.shape.spine_bend
        * np.sin((z - z[-1]) / (z[0] - z[-1]) * 2 * np.pi + anatomy.shape.spine_bend_phase)
    )
    return np.stack([bend, y - 7.0 * neck, z], axis=1)


def spongy(centers: Float64, z: Float64) -> Float64:
    """Return the spine's density at heights `z`, 1 for compact bone: bodies and end plates; discs have none."""
    half = 0.5 * np.abs(np.gradient(centers[:, 2])) * 0.84
    offset = np.abs(z[:, None] - centers[:, 2])
    inside = 0.5 - 0.5 * np.tanh(offset - half)
    plate = np.exp(-(((offset - half + 0.8) / 0.9) ** 2))
    density: Float64 = (0.11 * inside + 0.17 * plate).max(axis=1)
    return density
