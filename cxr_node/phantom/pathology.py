"""Pathologies and devices of a phantom, with side, zone and severity."""

from dataclasses import dataclass
from enum import StrEnum

from cxr_node.domain.reading import Laterality


class Kind(StrEnum):
    """Kind of a pathology or device."""

    CONSOLIDATION = "consolidation"
    EFFUSION = "effusion"
    PNEUMOTHORAX = "pneumothorax"
    NODULE = "nodule"
    MASS = "mass"
    CARDIOMEGALY = "cardiomegaly"
    EDEMA = "edema"
    ATELECTASIS = "atelectasis"
    PACEMAKER = "pacemaker"
    LINE = "line"
    TUBE = "tube"


class Zone(StrEnum):
    """Zone of a lung: a lobe for CONSOLIDATION, else a third of the lung's height."""

    UPPER = "upper"
    MIDDLE = "middle"
    LOWER = "lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathology:
    """One pathology. Attributes that are None are sampled from the film's seed."""

    kind: Kind
    side: Laterality | None = None
    zone: Zone | None = None
    severity: float | None = None
    """0 barely visible to 1 severe; sets size and density."""
