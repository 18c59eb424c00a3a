"""Passes over a film's cells in strips of rows, without full-size temporary arrays."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import UInt16
from cxr_node.pixels.decoding import Cells
from cxr_node.pixels.description import Description
from cxr_node.pixels.grayscale import TABLE_BITS, Chain, p_values, pattern_table, stored_values

Kind = TypeVar("Kind", bound=np.generic)

_STRIP_CELLS = 1 << 18
_SAMPLE_SIDE = 512


def look_up(cells: Cells, description: Description, chain: Chain) -> UInt16:
    """Return the P-values of cells, shape (rows, columns)."""
    values = np.empty(cells.shape, np.uint16)
    table = pattern_table(description, chain) if description.bits_allocated <= TABLE_BITS else None
    for strip in strips(cells):
        if table is not None:
            # "clip" lets numpy write into `out` without a buffer; a pattern is never out of range.
            np.take(table, cells[strip], out=values[strip], mode="clip")
        else:
            values[strip] = p_values(stored_values(cells[strip], description), chain)
    return values


def strips(cells: Cells) -> Iterator[slice]:
    """Yield slices of rows that together cover the film, each small enough for the processor's cache."""
    rows = max(1, _STRIP_CELLS // max(1, cells.shape[1]))
    for start in range(0, cells.shape[0], rows):
        yield slice(start, start + rows)


def sample(cells: Cells, *, hidden: Sequence[npt.NDArray[np.bool_] | None] = ()) -> Cells:
    """Return a subsample of the cells that are not hidden, one-dimensional; of all cells if all are hidden."""
    masks = [subsample(mask) for mask in hidden if mask is not None]
    subsampled = subsample(cells)
    visible = subsampled[~np.logical_or.reduce(masks)] if masks else subsampled.ravel()
    return visible if visible.size else subsampled.ravel()


def subsample(pixels: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
    """Return every n-th row and column, so that the shorter side has 512 to 1,023 pixels, or all if it has fewer."""
    step = max(1, min(pixels.shape) // _SAMPLE_SIDE)
    return pixels[::step, ::step]
