"""Corrects decoded samples where header and codestream differ (PS3.5 sections 8.2.1 and 8.2.4)."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cxr_node.pixels.codestream import Codestream
from cxr_node.pixels.description import Description

Cells = npt.NDArray[np.unsignedinteger]


def correct(
    cells: Cells, description: Description, codestream: Codestream, *, is_lossy: bool, states_sign: bool
) -> tuple[Cells, Description]:
    """Return the cells of a codestream, within the range of the bits stored, and their description.

    A signed codestream is signed whatever the header says. An unsigned one under a signed header holds patterns of
    signed values, or unsigned values: the reading in which neighbours differ less is taken.

    Of a lossy codestream, values above the range are overshoot of the codec and are clipped: masked, white would turn
    black. Of a lossless one that codes neither the stored bits nor the whole cell, the codestream's precision counts.

    Parameters
    ----------
    cells
        As decoded, one-dimensional.
    description
        The header's, with bits of the codestream's cell.
    states_sign
        Whether codestreams of this codec state a sign: those of JPEG 2000.
    """
    described = replace(description, is_signed=_is_signed(cells, description, codestream, states_sign))
    if described.high_bit != described.bits_stored - 1 or codestream.precision == described.bits_stored:
        return cells, described
    if is_lossy:
        return _clipped(cells, described), described
    codes_whole_cell = codestream.precision == described.bits_allocated
    if codes_whole_cell or described.is_signed or int(cells.max(initial=0)) >> described.bits_stored == 0:
        return cells, described
    return cells, replace(described, bits_stored=codestream.precision, high_bit=codestream.precision - 1)


def _is_signed(cells: Cells, description: Description, codestream: Codestream, states_sign: bool) -> bool:
    if codestream.is_signed or not states_sign or not description.is_signed:
        return codestream.is_signed or description.is_signed
    half = 1 << (codestream.precision - 1)
    values = cells.astype(np.int64) & (2 * half - 1)
    return _roughness((values ^ half) - half) < _roughness(values)


def _roughness(values: npt.NDArray[np.int64]) -> int:
    return int(np.abs(np.diff(values)).sum())


def _clipped(cells: Cells, description: Description) -> Cells:
    low, high = description.stored_range
    if not description.is_signed:
        return np.minimum(cells, np.array(high, cells.dtype))
    values = cells.astype(f"<i{cells.dtype.itemsize}")
    clipped: Cells = np.clip(values, low, high).astype(cells.dtype)
    return clipped
