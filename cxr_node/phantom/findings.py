"""Places pathologies in a patient as layers of solids, each with its effect on the rays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxr_node.domain.reading import Laterality
from cxr_node.phantom import devices, opacities
from cxr_node.phantom.layers import Layer
from cxr_node.phantom.pathology import Kind, Pathology, Zone
from cxr_node.phantom.solids import Branches, Float64
from cxr_node.phantom.thorax import PatientAnatomy
from cxr_node.phantom.torso import Torso


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finding:
    """A complete pathology and its layers; cardiomegaly has none, since the heart itself is enlarged."""

    pathology: Pathology
    layers: tuple[Layer, ...]


def complete(pathology: Pathology, generator: np.random.Generator) -> Pathology:
    """Return `pathology` with a random side, zone and severity where these are None."""
    both = (Kind.CARDIOMEGALY, Kind.EDEMA, Kind.TUBE)
    side = pathology.side or (
        Laterality.BILATERAL if pathology.kind in both else generator.choice([Laterality.RIGHT, Laterality.LEFT])
    )
    zone = pathology.zone or generator.choice(list(Zone))
    severity = generator.uniform(0.15, 0.95) if pathology.severity is None else pathology.severity
    return replace(pathology, side=Laterality(side), zone=Zone(zone), severity=float(severity))


class _LungCache:
    """One patient's lungs, filled with points at first use."""

    def __init__(self, anatomy: PatientAnatomy, torso: Torso, generator: np.random.Generator) -> None:
        self.anatomy, self.torso, self.generator = anatomy, torso, generator
        self._lungs: dict[int, opacities.Lung] = {}

    def lung(self, side: int) -> opacities.Lung:
        if side not in self._lungs:
            self._lungs[side] = opacities.Lung(self.anatomy, self.torso, side, self.generator)
        return self._lungs[side]


def place(
    pathologies: Sequence[Pathology],
    anatomy: PatientAnatomy,
    torso: Torso,
    branches: list[Branches],
    generator: np.random.Generator,
) -> tuple[list[Finding], list[Branches]]:
    """Return a finding for each pathology, and the remaining vessels."""
    lungs = _LungCache(anatomy, torso, generator)
    findings = []
    for pathology in pathologies:
        completed = complete(pathology, generator)
        layers = []
        for side in _sides(completed):
            more, branches = _layers(completed, side, lungs, branches)
            layers += more
        findings.append(Finding(pathology=completed, layers=tuple(layers)))
    return findings, branches


def _sides(pathology: Pathology) -> list[int]:
    if pathology.kind in (Kind.EDEMA, Kind.CARDIOMEGALY, Kind.TUBE):
        return [1]
    return {Laterality.RIGHT: [-1], Laterality.LEFT: [1]}.get(pathology.side or Laterality.BILATERAL, [-1, 1])


def _layers(
    pathology: Pathology, side: int, lungs: _LungCache, branches: list[Branches]
) -> tuple[list[Layer], list[Branches]]:
    severity, zone, kind = pathology.severity or 0.0, pathology.zone or Zone.LOWER, pathology.kind
    if kind is Kind.CONSOLIDATION and pathology.ball is not None:
        return opacities.ball_consolidation(lungs.lung(side), pathology.ball), branches
    if kind in _IN_ONE_LUNG:
        return _IN_ONE_LUNG[kind](lungs.lung(side), zone, severity), branches
    if kind in _DEVICES:
        return _DEVICES[kind](lungs.anatomy, lungs.torso, side, lungs.generator), branches
    if kind is Kind.PNEUMOTHORAX:
        layers, bare = opacities.pneumothorax(lungs.lung(side), severity)
        return layers, [_scaled(branch, np.where(bare(branch.middle), 0.02, 1.0)) for branch in branches]
    if kind is Kind.EDEMA:
        engorged = np.array(1 + 0.25 * severity)
        return opacities.edema([lungs.lung(-1), lungs.lung(1)], severity), [_scaled(one, engorged) for one in branches]
    return [], branches


_IN_ONE_LUNG: Mapping[Kind, Callable[[opacities.Lung, Zone, float], list[Layer]]] = {
    Kind.CONSOLIDATION: opacities.consolidation,
    Kind.EFFUSION: lambda lung, _zone, severity: opacities.effusion(lung, severity),
    Kind.NODULE: lambda lung, zone, severity: opacities.nodule_or_mass(lung, severity, mass=False, zone=zone),
    Kind.MASS: lambda lung, zone, severity: opacities.nodule_or_mass(lung, severity, mass=True, zone=zone),
    Kind.ATELECTASIS: lambda lung, _zone, severity: opacities.atelectasis(lung, severity),
}
_DEVICES: Mapping[Kind, Callable[[PatientAnatomy, Torso, int, np.random.Generator], list[Layer]]] = {
    Kind.PACEMAKER: devices.pacemaker,
    Kind.LINE: devices.line,
    Kind.TUBE: devices.tube,
}


def _scaled(branch: Branches, by: Float64) -> Branches:
    return replace(branch, radius_mm=branch.radius_mm * by.reshape(-1, 1))
