"""Bit masks of outlines, as in a binary Segmentation (PS3.5 section 8.1.1). Pure."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from cxr_node.domain.geometry import fill_band
from cxr_node.domain.reading import Point

Mask = npt.NDArray[np.uint8]
"""Shape (rows, columns): 1 inside, 0 outside."""


def packed_mask(outlines: Iterable[Sequence[Point]], rows: int, columns: int) -> bytes:
    """Return the pixels inside outlines, packed, or no bytes where there are none; empty rows are not allocated."""
    top, band = fill_band(outlines, (rows, columns), align=8)
    if not band.any():
        return b""
    return (b"\0" * (top * columns // 8) + packed(band.view(np.uint8))).ljust((rows * columns + 7) // 8, b"\0")


def packed(mask: Mask) -> bytes:
    """Return a mask with eight pixels per byte, the first in the lowest bit, zeros in the rest of the last byte."""
    return np.packbits(mask, bitorder="little").tobytes()


def joined(frames: Sequence[bytes], pixels: int) -> bytes:
    """Return packed masks of `pixels` pixels concatenated bit by bit, padded to an even number of bytes."""
    content = b"".join(frames if pixels % 8 == 0 else _shifted(frames, pixels))
    return content + b"\0" * (len(content) % 2)


def _shifted(frames: Sequence[bytes], pixels: int) -> Iterable[bytes]:
    """Yield the bytes of frames that do not end at a byte boundary, with one frame unpacked at a time."""
    rest = np.zeros(0, np.uint8)
    for frame in frames:
        bits = np.unpackbits(np.frombuffer(frame, np.uint8), count=pixels, bitorder="little")
        bits = np.concatenate([rest, bits])
        whole = len(bits) - len(bits) % 8
        yield packed(bits[:whole])
        rest = bits[whole:]
    yield packed(rest)
