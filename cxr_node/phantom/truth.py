"""Truth of a film from its rays: masks, calipers and boxes."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cxr_node.phantom.pathology import Kind
from cxr_node.phantom.paths import CHAMBERS, Paths
from cxr_node.phantom.scene import Scene
from cxr_node.phantom.shapes import SIDES
from cxr_node.phantom.solids import Part
from cxr_node.phantom.truth_types import Box, Lesion, Line, Mask, Truth

_BONES = {
    "right_clavicle": Part.RIGHT_CLAVICLE,
    "left_clavicle": Part.LEFT_CLAVICLE,
    "right_scapula": Part.RIGHT_SCAPULA,
    "left_scapula": Part.LEFT_SCAPULA,
    "spine": Part.SPINE,
    "posterior_ribs": Part.POSTERIOR_RIBS,
    "anterior_ribs": Part.ANTERIOR_RIBS,
}
_BONE_MM = 0.12
"""Least path in bone, as compact bone, that counts as the bone's outline."""
_AIR_MM = 2.0


def structures(organs: Paths, solids: Tensor, effusion: Tensor, frontal: Tensor) -> dict[str, Tensor]:
    """Return a bool mask (films, rows, columns) for each structure.

    On a frontal film a lung is the visible field: outside heart, mediastinum and great vessels, above
    the diaphragm and any fluid. On a lateral film it is the whole lung above its diaphragm.

    Parameters
    ----------
    effusion
        Path in pleural fluid, mm.
    frontal
        Whether each film is frontal, (films, 1, 1).
    """
    paths = organs.structures
    masks = {"heart": paths["heart"] > 0}
    masks["aorta"] = paths["aorta"] > 1
    center = masks["heart"] | masks["aorta"] | (paths["beside"] > 1)
    for name in SIDES:
        below = paths[f"{name}_dome"] > 0
        lung = paths[f"{name}_lung"]
        masks[f"{name}_lung"] = (lung > 0) & ~(center & frontal) & ~below & (effusion < 0.55 * lung + 12.0)
        masks[f"{name}_hemidiaphragm"] = below
    masks |= {name: paths[name] > 1 for name in CHAMBERS}
    outlines = outline(solids[:, [int(part) for part in _BONES.values()]])
    masks |= {name: outlines[:, k] > _BONE_MM for k, name in enumerate(_BONES)}
    masks["spine"] |= organs.spine > _BONE_MM
    masks["trachea"] = solids[:, Part.TRACHEA] > _AIR_MM
    masks["bronchi"] = solids[:, Part.BRONCHI] > _AIR_MM
    return masks


def outline(planes: Tensor) -> Tensor:
    """Return `planes` (films, n, rows, columns) smoothed by means over 3 by 3 pixels."""
    for axis in (-1, -2):
        size = planes.shape[axis]
        total = planes.clone()
        total.narrow(axis, 1, size - 1).add_(planes.narrow(axis, 0, size - 1))
        total.narrow(axis, 0, size - 1).add_(planes.narrow(axis, 1, size - 1))
        planes = total
    return planes.mul_(1 / 9)


def truth(scene: Scene, masks: Mapping[str, Mask], cage: Mask, lesions: tuple[Lesion, ...]) -> Truth:
    """Return the truth of one film; `cage` is the outline of the inner rib cage."""
    exposure = scene.exposure
    heart_line, thorax_line, ratio = None, None, None
    if exposure.view.is_frontal and masks["heart"].any():
        heart_line, thorax_line = _width_line(masks["heart"]), _width_line(_above_domes(masks, cage))
        ratio = (heart_line[1][0] - heart_line[0][0]) / (thorax_line[1][0] - thorax_line[0][0])
    return Truth(
        seed=scene.seed,
        view=exposure.view,
        anatomy=scene.anatomy,
        imager_pixel_spacing_mm=exposure.pitch_mm,
        distance_source_to_detector_mm=exposure.distance_mm,
        magnification=1.0 / exposure.midway,
        cardiothoracic_ratio=ratio,
        heart_line=heart_line,
        thorax_line=thorax_line,
        lesions=lesions,
    )


def _above_domes(masks: Mapping[str, Mask], cage: Mask) -> Mask:
    """Return `cage` down to where the higher lung's outer corner lies: below it, the widest ribs bound no lung."""
    lungs = masks["right_lung"] | masks["left_lung"]
    rows = np.flatnonzero(lungs.any(1))
    part = cage.copy()
    if len(rows):
        part[rows[-1] + 1 :] = False
    return part


def _width_line(mask: Mask) -> Line:
    """Return the horizontal line over the full width of `mask`, at the middle of its rows at the left end."""
    columns = np.flatnonzero(mask.any(0))
    row = float(np.flatnonzero(mask[:, columns[0]]).mean()) + 0.5
    return (float(columns[0]), row), (float(columns[-1] + 1), row)


def box_of(mask: npt.NDArray[np.bool_]) -> Box | None:
    """Return left, top, right and bottom of `mask` in pixels, or None if it is empty."""
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def lesions_of(scene: Scene, layers: Mapping[int, Mask], masks: dict[str, Mask]) -> tuple[Lesion, ...]:
    """Return the findings visible on the film, and add their masks to `masks`; `layers` has the masks of layers."""
    lesions, at = [], 0
    for number, finding in enumerate(scene.findings):
        own = [layers[k] for k in range(at, at + len(finding.layers)) if k in layers]
        at += len(finding.layers)
        mask = masks["heart"] if finding.pathology.kind is Kind.CARDIOMEGALY else np.logical_or.reduce(own)
        box = box_of(mask)
        if box is not None:
            name = f"{finding.pathology.kind}_{number}"
            masks[name] = mask
            lesions.append(Lesion(pathology=finding.pathology, mask=name, box=box))
    return tuple(lesions)
