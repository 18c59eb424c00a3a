"""From an activation map to the small picture that is kept of it. Pure."""

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import HeatMap, Region

LONGEST = 64
"""A map has at most this many cells each way; a finer one is averaged over blocks of cells."""

_TOP = 255


def heat_map(activation: Float32, area: Region) -> HeatMap | None:
    """Return how far each cell of `activation` lies from the map's median (0) to its maximum (255).

    The scale is the one that outlines are cut on, and so each map's own: two maps cannot be held against each other.
    None where no cell stands out.

    Parameters
    ----------
    activation
        Shape (map rows, map columns).
    area
        The rectangle of the film that the map covers.
    """
    cells = _reduced(activation.astype(np.float64))
    median, highest = float(np.median(cells)), float(cells.max())
    if not highest > median:
        return None
    levels = np.rint(np.clip((cells - median) / (highest - median), 0.0, 1.0) * _TOP).astype(np.uint8)
    return HeatMap(rows=cells.shape[0], columns=cells.shape[1], levels=levels.tobytes(), area=area)


def _reduced(cells: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Average over blocks, as even as whole cells allow, along each axis that is longer than LONGEST."""
    for axis in (0, 1):
        count = cells.shape[axis]
        if count > LONGEST:
            starts = np.arange(LONGEST) * count // LONGEST
            widths = np.diff(np.append(starts, count))
            cells = np.add.reduceat(cells, starts, axis) / np.expand_dims(widths, 1 - axis)
    return cells
