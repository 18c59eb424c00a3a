"""What a finding is made of."""

from dataclasses import dataclass
from enum import Enum, auto

from cxr_node.phantom.solids import Cloud, Tube


class Effect(Enum):
    """What the path through a layer does."""

    FILLS_LUNG = auto()
    """Fluid or tissue in place of air, never more than there is lung on the ray."""
    EMPTIES_LUNG = auto()
    """Air in place of lung."""
    METAL = auto()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """Solids of one effect. `blur_mm` smooths the grain of their points; `visible_mm` is where its mask begins."""

    effect: Effect
    solids: tuple[Cloud | Tube, ...]
    blur_mm: float = 0.0
    visible_mm: float = 0.3
    masked: bool = True
    """Whether the layer belongs to the finding's mask."""
