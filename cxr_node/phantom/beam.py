"""Geometry of X-ray tube and detector for a view, sampled from common practice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cxr_node.domain.film_geometry import View
from cxr_node.phantom.projection import Beam
from cxr_node.phantom.shapes import Float64
from cxr_node.phantom.thorax import PatientAnatomy, rotation
from cxr_node.phantom.torso import Torso


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """One film's geometry. Vectors (3,) are in patient coordinates, mm; `pitch_mm` is the detector's pixel spacing."""

    view: View
    distance_mm: float
    """Distance Source to Detector (0018,1110)."""
    pitch_mm: float
    rows: int
    columns: int
    source: Float64
    center: Float64
    """Of the detector."""
    across: Float64
    down: Float64
    """From the center to the middle of the pixels at the right and at the lower edge."""
    midway: float
    """Distance from source to the patient's middle, as a share of the distance to the detector."""


def sample_exposure(
    anatomy: PatientAnatomy,
    torso: Torso,
    view: View,
    rows: int,
    columns: int,
    generator: np.random.Generator,
    *,
    rotation_deg: float | None = None,
) -> Exposure:
    """Return the geometry of a film: distances, field, centering, and rotation of the patient.

    PA and lateral at 1.8 m with the chest against the detector; AP at 1.0 to 1.3 m from the front,
    which magnifies the heart. The patient may be rotated by a few degrees, and tilted on AP films.
    """
    lateral, frontal_ap = view is View.LATERAL, view is View.AP
    distance = float(generator.uniform(1000, 1300) if frontal_ap else generator.uniform(1780, 1850))
    level = torso.cage.at(np.array(anatomy.apex_mm - 0.6 * anatomy.lung_height_mm))
    wall = anatomy.muscle_mm + anatomy.fat_mm
    gap = float(generator.uniform(20, 45)) + wall
    chest = {View.AP: level[3] + level[1], View.LATERAL: level[0]}.get(view, level[1] - level[3])
    to_detector = float(chest) + gap
    magnification = distance / (distance - to_detector)
    spread = generator.uniform(0.63, 0.84)
    extent = anatomy.thoracic_width_mm * (0.86 if lateral else 1.0) * magnification / spread
    pitch = float(max(extent, 0.98 * anatomy.lung_height_mm * 1.66 * magnification * (1 if lateral else 0.9)) / columns)
    middle = anatomy.apex_mm - anatomy.inspired_height_mm * generator.normal(0.61, 0.05)
    aim = np.array([generator.normal(0, 5), generator.normal(0, 5), middle])
    turn = generator.normal(0, [0.030, 0.035, 0.018])
    if frontal_ap:
        turn = generator.normal([0, 0.10, 0], [0.055, 0.09, 0.035])
    if rotation_deg is not None:
        turn[0] = np.radians(rotation_deg)
    toward, across = {
        View.AP: (np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])),
        View.LATERAL: (np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])),
    }.get(view, (np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.0])))
    matrix = rotation(*turn)
    down = np.array([0.0, 0.0, -1.0])
    back = distance - to_detector
    center = aim + toward * to_detector
    return Exposure(
        view=view,
        distance_mm=distance,
        pitch_mm=pitch,
        rows=rows,
        columns=columns,
        source=matrix @ (aim - toward * back),
        center=matrix @ center,
        across=matrix @ across * (pitch * (columns - 1) / 2),
        down=matrix @ down * (pitch * (rows - 1) / 2),
        midway=back / distance,
    )


def beam_of(exposures: Sequence[Exposure], device: str) -> Beam:
    """Return the beams of `exposures`, which must agree in rows and columns."""

    def stack(name: str) -> torch.Tensor:
        values = np.array([getattr(one, name) for one in exposures])
        return torch.tensor(values, dtype=torch.float64, device=device)

    return Beam(
        source=stack("source"),
        center=stack("center"),
        across=stack("across"),
        down=stack("down"),
        midway=stack("midway"),
        rows=exposures[0].rows,
        columns=exposures[0].columns,
    )
