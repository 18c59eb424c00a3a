"""Reduces color films whose channels agree to one gray channel; refuses real color."""

import numpy as np
from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import lookup
from cxr_node.pixels.decoding import Cells, Frame
from cxr_node.pixels.grayscale import stored_values
from cxr_node.pixels.lut import read_lut

_LOSSY_TOLERANCE = 3
_NEUTRAL = 128


def gray_cells(dataset: Dataset, frame: Frame) -> Cells:
    """Return one channel, shape (rows, columns): the common value of all three, or the palette's.

    Channels must be equal, or within 3 of 255 after a lossy codec.

    Raises
    ------
    GiveUp
        COLOR if the film shows color; DECODE if a palette cannot be used.
    """
    match frame.description.photometric_interpretation:
        case "MONOCHROME1" | "MONOCHROME2":
            return frame.cells
        case "PALETTE COLOR":
            return _from_palette(dataset, frame)
        case "RGB":
            return _common_channel(frame, neutral=None)
        case _:
            return _common_channel(frame, neutral=_NEUTRAL)


def _common_channel(frame: Frame, *, neutral: int | None) -> Cells:
    tolerance = _LOSSY_TOLERANCE if frame.is_lossy else 0
    for rows in lookup.strips(frame.cells):
        strip = frame.cells[rows].astype(np.int16)
        gray = strip[..., 0] if neutral is None else neutral
        if max(np.abs(strip[..., 1] - gray).max(), np.abs(strip[..., 2] - gray).max()) > tolerance:
            raise GiveUp(Reason.COLOR, "the color channels differ")
    # Green carries most of the luminance of RGB; the first channel of YBR is the luminance.
    return np.ascontiguousarray(frame.cells[..., 1 if neutral is None else 0])


def _from_palette(dataset: Dataset, frame: Frame) -> Cells:
    tables = [read_lut(dataset, signed_input=False, palette=name) for name in ("Red", "Green", "Blue")]
    red, green, blue = tables
    if red is None or green is None or blue is None:
        raise GiveUp(Reason.DECODE, "the palette cannot be used")
    patterns = np.arange(1 << min(frame.description.bits_allocated, 16))
    stored = stored_values(patterns, frame.description).astype(np.float64)
    values = [np.rint(table(stored) * (0xFFFF / table.maximum)).astype(np.uint16) for table in (red, green, blue)]
    used = np.unique(frame.cells)
    if any((table[used] != values[0][used]).any() for table in values[1:]):
        raise GiveUp(Reason.COLOR, "the palette's colors are not gray")
    gray: Cells = values[0][frame.cells]
    return gray
