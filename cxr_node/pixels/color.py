"""Reduces color films whose channels agree to one gray channel; refuses real color."""

import numpy as np
from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import lookup
from cxr_node.pixels.decoding import Cells, Frame
from cxr_node.pixels.grayscale import stored_values
from cxr_node.pixels.lut import read_lut

_LOSSY_TOLERANCE = 3 / 255
"""Of the range of the bits stored."""


def gray_cells(dataset: Dataset, frame: Frame) -> Cells:
    """Return one channel, shape (rows, columns): the common value of all three, or the palette's.

    Channels must be equal, or within 3 of 255 of their range after a lossy codec. The neutral value of Cb and Cr is the
    middle of the range.

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
            return _common_channel(frame, neutral=1 << (frame.description.bits_stored - 1))


def _common_channel(frame: Frame, *, neutral: int | None) -> Cells:
    full = (1 << frame.description.bits_stored) - 1
    tolerance = int(_LOSSY_TOLERANCE * full) if frame.is_lossy else 0
    for rows in lookup.strips(frame.cells):
        strip = frame.cells[rows].astype(np.int32)
        gray = strip[..., 0] if neutral is None else neutral
        if max(np.abs(strip[..., 1] - gray).max(), np.abs(strip[..., 2] - gray).max()) > tolerance:
            raise GiveUp(Reason.COLOR, "the color channels differ")
    # Green carries most of the luminance of RGB; the first channel of YBR is the luminance.
    return np.ascontiguousarray(frame.cells[..., 1 if neutral is None else 0])


def _from_palette(dataset: Dataset, frame: Frame) -> Cells:
    signed = frame.description.is_signed
    tables = [read_lut(dataset, signed_input=signed, palette=name) for name in ("Red", "Green", "Blue")]
    red, green, blue = tables
    if red is None or green is None or blue is None:
        raise GiveUp(Reason.DECODE, "the palette cannot be used")
    used, places = np.unique(frame.cells, return_inverse=True)
    stored = stored_values(used, frame.description).astype(np.float64)
    values = [np.rint(table(stored) * (0xFFFF / table.maximum)).astype(np.uint16) for table in (red, green, blue)]
    if any((channel != values[0]).any() for channel in values[1:]):
        raise GiveUp(Reason.COLOR, "the palette's colors are not gray")
    gray: Cells = values[0][places].reshape(frame.cells.shape)
    return gray
