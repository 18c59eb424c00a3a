"""What can be wrong with a phantom, and where."""

from dataclasses import dataclass
from enum import StrEnum

from cxr_node.domain.reading import Laterality


class Kind(StrEnum):
    """A pathology or device that a phantom can be given."""

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
    """Where in a lung: a lobe of CONSOLIDATION, or a third of the lung's height."""

    UPPER = "upper"
    MIDDLE = "middle"
    LOWER = "lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathology:
    """One thing to show. What is None is drawn by the film's seed."""

    kind: Kind
    side: Laterality | None = None
    zone: Zone | None = None
    severity: float | None = None
    """0 barely visible to 1 severe; sets size and density."""
