"""A film on the table, as every part of measuring finds it. Pure but for the notebook."""

from dataclasses import dataclass

import numpy as np

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.radiograph import View
from cxr_node.domain.reading import Laterality
from cxr_node.measure import densities
from cxr_node.measure.grid import Grid, Mask, Points
from cxr_node.measure.interfaces import Corner, Interface
from cxr_node.measure.preconditions import Soundness
from cxr_node.measure.recorder import Recorder

LUNGS = {Laterality.RIGHT: Anatomy.RIGHT_LUNG, Laterality.LEFT: Anatomy.LEFT_LUNG}
BOTH = (Anatomy.RIGHT_LUNG, Anatomy.LEFT_LUNG)
NO_CONTRAST = "lung and heart are equally bright"
HIDDEN = "no lung lies along it"
CUT = "the lung is cut off at the bottom of the film"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasurementContext:
    """A film on the table: its grid, what stands against measuring, its own scale, and the notebook."""

    canvas: Grid
    view: View
    sound: Soundness
    scale: densities.Anchors | None
    found: dict[Border, Interface]
    corners: dict[Laterality, Corner | None]
    cut: tuple[str, ...]
    book: Recorder

    def lung(self, side: Laterality) -> Mask:
        """Return a lung's mask."""
        return self.canvas.mask(LUNGS[side])

    @property
    def against_base(self) -> str:
        """Return why nothing at the base of the lungs can be judged."""
        return CUT if "bottom" in self.cut else ""

    def against_brightness(self, *needed: Anatomy) -> str:
        """Return why no brightness can be judged."""
        return self.sound.against(Anatomy.HEART, *BOTH, *needed) or ("" if self.scale is not None else NO_CONTRAST)


def middle(mask: Mask) -> Points:
    """Return the middle of a mask, (2,)."""
    down, over = mask.sum(1), mask.sum(0)
    row, column = (float(np.arange(len(each)) @ each / each.sum()) + 0.5 for each in (down, over))
    return np.array([column, row], np.float64)
