"""Reduces an activation map to the heat map that is stored. Pure."""

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import HeatMap, Region

MAX_CELLS = 64
"""A map has at most this many cells each way; a finer one is averaged over blocks of cells."""

_TOP = 255


def heat_map(activation: Float32, area: Region) -> HeatMap | None:
    """Return the level of each cell of `activation`, from the map's median (0) to its maximum (255).

    Outlines use the same scale. It is each map's own, so two maps cannot be compared. None if all cells are equal.

    Parameters
    ----------
    activation
        Shape (map rows, map columns).
    area
        The rectangle of the film that the map covers.
    """
    cells = _block_means(activation.astype(np.float64))
    median, highest = float(np.median(cells)), float(cells.max())
    if not highest > median:
        return None
    levels = np.rint(np.clip((cells - median) / (highest - median), 0.0, 1.0) * _TOP).astype(np.uint8)
    return HeatMap(rows=cells.shape[0], columns=cells.shape[1], levels=levels.tobytes(), area=area)


def _block_means(cells: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Average over blocks of cells, as equal as possible, along each axis longer than MAX_CELLS."""
    for axis in (0, 1):
        count = cells.shape[axis]
        if count > MAX_CELLS:
            starts = np.arange(MAX_CELLS) * count // MAX_CELLS
            widths = np.diff(np.append(starts, count))
            cells = np.add.reduceat(cells, starts, axis) / np.expand_dims(widths, 1 - axis)
    return cells
