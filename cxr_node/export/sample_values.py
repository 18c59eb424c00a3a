"""Pixels of a de-identified film: sample values written anew, uncompressed, with nothing in their unused bits.

Comments and application segments of a codestream, bytes behind a frame, and overlays in bits that hold no sample do
not survive this.
"""

from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from cxr_node.domain.radiograph import WHITE, UInt16
from cxr_node.pixels.decoding import Cells, Frame
from cxr_node.pixels.description import Description


def samples_alone(frame: Frame) -> Frame:
    """Return a gray frame whose cells hold their samples from bit 0 on, extended by zeros or by the sign."""
    description = frame.description
    stored = description.bits_stored
    cells = frame.cells
    lowest = description.high_bit - stored + 1
    samples = (cells >> lowest) & cells.dtype.type((1 << stored) - 1)
    if description.is_signed:
        negative = (samples >> (stored - 1)) & cells.dtype.type(1)
        beyond = cells.dtype.type(((1 << 8 * cells.dtype.itemsize) - 1) ^ ((1 << stored) - 1))
        samples = samples | negative * beyond
    described = replace(description, bits_allocated=8 * cells.dtype.itemsize, high_bit=stored - 1, number_of_frames=1)
    return replace(frame, cells=samples.astype(cells.dtype), description=described)


def full_range(frame: Frame) -> UInt16:
    """Return the samples spread over all P-values, so that no window hides text."""
    values = _numbers(frame.cells, frame.description).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) * (WHITE / max(high - low, 1.0)), np.uint16)


def _numbers(cells: Cells, description: Description) -> np.ndarray[tuple[int, ...], np.dtype[np.integer]]:
    return cells.view(f"i{cells.dtype.itemsize}") if description.is_signed else cells


def add_pixels(header: Dataset, frame: Frame) -> None:
    """Add the Image Pixel module (PS3.3 section C.7.6.3) of a gray frame to a header."""
    description = frame.description
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = description.photometric_interpretation
    header.Rows, header.Columns = description.rows, description.columns
    header.BitsAllocated, header.BitsStored = description.bits_allocated, description.bits_stored
    header.HighBit = description.high_bit
    header.PixelRepresentation = int(description.is_signed)
    little_endian = frame.cells.astype(frame.cells.dtype.newbyteorder("<"))
    content = little_endian.tobytes()
    header.PixelData = content + b"\0" * (len(content) % 2)
    header["PixelData"].VR = "OB" if description.bits_allocated == 8 else "OW"
