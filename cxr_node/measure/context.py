"""Context of measuring one film: grid, preconditions, brightness anchors, interfaces, recorder."""

from dataclasses import dataclass

import numpy as np

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Laterality
from cxr_node.measure import densities
from cxr_node.measure.grid import Grid, Mask, Points
from cxr_node.measure.interfaces import Corner, Interface
from cxr_node.measure.preconditions import Preconditions
from cxr_node.measure.recorder import Recorder

LUNGS = {Laterality.RIGHT: Anatomy.RIGHT_LUNG, Laterality.LEFT: Anatomy.LEFT_LUNG}
BOTH_LUNGS = (Anatomy.RIGHT_LUNG, Anatomy.LEFT_LUNG)
NO_CONTRAST = "lung and heart are equally bright"
NO_LUNG_BESIDE = "no lung lies along it"
LUNG_CUT_OFF = "the lung is cut off at the bottom of the film"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasurementContext:
    """What every measurement needs of a film. An `obstacle` is the reason for "not measurable", empty for none."""

    grid: Grid
    view: View
    preconditions: Preconditions
    anchors: densities.Anchors | None
    interfaces: dict[Border, Interface]
    corners: dict[Laterality, Corner | None]
    cut_sides: tuple[str, ...]
    recorder: Recorder

    def lung(self, side: Laterality) -> Mask:
        """Return a lung's mask."""
        return self.grid.mask(LUNGS[side])

    @property
    def base_obstacle(self) -> str:
        """Obstacle to judging the base of the lungs."""
        return LUNG_CUT_OFF if "bottom" in self.cut_sides else ""

    def brightness_obstacle(self, *needed: Anatomy) -> str:
        """Return the obstacle to measuring brightness with these structures."""
        no_contrast = "" if self.anchors is not None else NO_CONTRAST
        return self.preconditions.obstacle(Anatomy.HEART, *BOTH_LUNGS, *needed) or no_contrast


def center_of(mask: Mask) -> Points:
    """Return the center of gravity of a mask, (2,)."""
    down, over = mask.sum(1), mask.sum(0)
    row, column = (float(np.arange(len(counts)) @ counts / counts.sum()) + 0.5 for counts in (down, over))
    return np.array([column, row], np.float64)
