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
class Ball:
    """Place, size and density of a consolidation that is a ball, as far as it lies in the lung.

    The center is given in parts of the lung.
    """

    across: float
    """0 in the middle of the chest to 1 at the ribs."""
    down: float
    """0 at the apex to 1 at the top of the diaphragm."""
    backward: float
    """0 at the ribs in front to 1 at those behind."""
    radius_mm: float
    density: float
    """Share of the alveoli that are filled, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathology:
    """One pathology. Attributes that are None are sampled from the film's seed."""

    kind: Kind
    side: Laterality | None = None
    zone: Zone | None = None
    severity: float | None = None
    """0 barely visible to 1 severe; sets size and density."""
    ball: Ball | None = None
    """Of a consolidation: a ball instead of what zone and severity set."""
