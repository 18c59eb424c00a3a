"""Scene of one film: patient, exposure, processing, marks and findings, sampled in numpy from one seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxr_node.domain.film_geometry import View
from cxr_node.phantom import devices, findings
from cxr_node.phantom.airways import airway, vessels
from cxr_node.phantom.beam import Exposure, sample_exposure
from cxr_node.phantom.bowel import bowel
from cxr_node.phantom.detector import Processing, sample_processing
from cxr_node.phantom.findings import Finding
from cxr_node.phantom.layers import Layer
from cxr_node.phantom.marks import Marks, draw
from cxr_node.phantom.pathology import Kind, Pathology
from cxr_node.phantom.skeleton import skeleton
from cxr_node.phantom.solids import Branches, Cloud, Part, Tube
from cxr_node.phantom.thorax import PatientAnatomy, Pose, sample
from cxr_node.phantom.torso import Torso, torso


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One patient and one exposure."""

    seed: int
    anatomy: PatientAnatomy
    torso: Torso
    exposure: Exposure
    processing: Processing
    marks: Marks
    tubes: list[Tube]
    clouds: list[Cloud]
    branches: list[Branches]
    findings: list[Finding]
    scenery: list[Layer]
    """Monitor wires: in the way, and in nobody's truth."""

    @property
    def layers(self) -> list[Layer]:
        """All layers, the findings' first, in their order."""
        return [layer for finding in self.findings for layer in finding.layers] + self.scenery

    def layered_solids(self) -> tuple[list[Tube], list[Cloud]]:
        """Return the solids of the layers, each with the channel of its layer."""
        placed = [
            replace(solid, part=Part.FINDINGS + k) for k, layer in enumerate(self.layers) for solid in layer.solids
        ]
        return [one for one in placed if isinstance(one, Tube)], [one for one in placed if isinstance(one, Cloud)]


def scene(
    seed: int,
    view: View,
    pathology: Sequence[Pathology],
    *,
    rows: int,
    columns: int,
    erect: bool | None,
    pose: Pose,
) -> Scene:
    """Return what the film of `seed` shows; the patient is the same in every view and with every pathology."""
    exposure_seed = [] if pose.exposure is None else [pose.exposure]
    generator = np.random.default_rng([seed, 2, list(View).index(view), *exposure_seed])
    portable = view is View.AP and generator.random() < 0.8
    standing = (not portable) if erect is None else erect
    anatomy = sample(seed, erect=standing, enlarged_heart=any(one.kind is Kind.CARDIOMEGALY for one in pathology))
    if pose.breath is not None:
        anatomy = replace(anatomy, inspiration=pose.breath)
    if pose.heart_scale != 1.0:
        anatomy = replace(anatomy, cardiothoracic_ratio=anatomy.cardiothoracic_ratio * pose.heart_scale)
    organs = torso(anatomy, arms_raised=view is View.LATERAL)
    exposure = sample_exposure(anatomy, organs, view, rows, columns, generator, rotation_deg=pose.rotation_deg)
    processing = sample_processing(generator, portable=portable)
    marks = draw(view, rows, columns, generator, erect=standing)
    scenery = devices.monitor(anatomy, organs, generator) if portable and generator.random() < 0.55 else []
    body = np.random.default_rng([seed, 3])
    tubes, clouds = skeleton(anatomy, organs.cage, organs.arms)
    tubes += airway(anatomy) + bowel(anatomy, organs, body)
    branches = vessels(anatomy, organs, body)
    placed, branches = findings.place(pathology, anatomy, organs, branches, np.random.default_rng([seed, 4]))
    return Scene(
        seed=seed,
        anatomy=anatomy,
        torso=organs,
        exposure=exposure,
        processing=processing,
        marks=marks,
        tubes=tubes,
        clouds=clouds,
        branches=branches,
        findings=placed,
        scenery=scenery,
    )
