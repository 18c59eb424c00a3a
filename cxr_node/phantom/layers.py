"""Layers of a finding: solids and their effect on the path through the lung."""

from dataclasses import dataclass
from enum import Enum, auto

from cxr_node.phantom.solids import Cloud, Tube


class Effect(Enum):
    """Effect of the path through a layer."""

    FILLS_LUNG = auto()
    """Fluid or tissue replaces air, at most the lung on the ray."""
    EMPTIES_LUNG = auto()
    """Air replaces lung."""
    METAL = auto()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """Solids of one effect. `blur_mm` smooths their points; `visible_mm` is the least path of its mask."""

    effect: Effect
    solids: tuple[Cloud | Tube, ...]
    blur_mm: float = 0.0
    visible_mm: float = 0.3
    masked: bool = True
    """Whether the layer belongs to the finding's mask."""
