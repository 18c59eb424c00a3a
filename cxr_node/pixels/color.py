"""Color films that are gray underneath, and those that are not."""

import numpy as np
from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import lookup
from cxr_node.pixels.decoding import Cells, Frame
from cxr_node.pixels.grayscale import stored_values
from cxr_node.pixels.lut import Lut, read_lut

_LOSSY_TOLERANCE = 3
_NEUTRAL = 128


def gray_cells(dataset: Dataset, frame: Frame) -> Cells:
    """Return one channel, shape (rows, columns): the gray that all three agree on, or the palette's.

    Only equal channels are gray. A lossy codec may move them apart by 3 of 255, no more.

    Raises
    ------
    GiveUp
        COLOR where the film shows color; DECODE where a palette cannot be used.
    """
    match frame.description.photometric_interpretation:
        case "MONOCHROME1" | "MONOCHROME2":
            return frame.cells
        case "PALETTE COLOR":
            return _from_palette(dataset, frame)
        case "RGB":
            return _agreed(frame, against=None)
        case _:
            return _agreed(frame, against=_NEUTRAL)


def _agreed(frame: Frame, *, against: int | None) -> Cells:
    tolerance = _LOSSY_TOLERANCE if frame.is_lossy else 0
    for rows in lookup.strips(frame.cells):
        strip = frame.cells[rows].astype(np.int16)
        gray = strip[..., 0] if against is None else against
        if max(np.abs(strip[..., 1] - gray).max(), np.abs(strip[..., 2] - gray).max()) > tolerance:
            raise GiveUp(Reason.COLOR, "the color channels differ")
    # Green carries most of the luminance of RGB; the first channel of YBR is the luminance.
    return np.ascontiguousarray(frame.cells[..., 1 if against is None else 0])


def _from_palette(dataset: Dataset, frame: Frame) -> Cells:
    tables = [read_lut(dataset, signed_input=False, palette=name) for name in ("Red", "Green", "Blue")]
    red, green, blue = tables
    if red is None or green is None or blue is None:
        raise GiveUp(Reason.DECODE, "the palette cannot be used")
    patterns = np.arange(1 << min(frame.description.bits_allocated, 16))
    stored = stored_values(patterns, frame.description).astype(np.float64)
    shown = [_sixteen_bits(table, stored) for table in (red, green, blue)]
    used = np.unique(frame.cells)
    if any((table[used] != shown[0][used]).any() for table in shown[1:]):
        raise GiveUp(Reason.COLOR, "the palette's colors are not gray")
    gray: Cells = shown[0][frame.cells]
    return gray


def _sixteen_bits(table: Lut, stored: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Cells:
    return np.rint(table(stored) * (0xFFFF / table.greatest)).astype(np.uint16)
