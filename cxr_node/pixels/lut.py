"""Look-up tables of the data set (PS3.3 sections C.11.1.1.1 and C.11.2.1.1)."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from cxr_node.domain.radiograph import UInt16
from cxr_node.pixels import elements, segmented_lut

_WHOLE = 1 << 16
_DESCRIPTOR_VALUES = 3
_BYTE = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lut:
    """A table: input `first` maps to the first entry; values outside map to the nearest entry.

    `entries` has dtype uint16, shape (n,); its values run from 0 to `maximum`.
    """

    first: int
    bits: int
    entries: UInt16

    @property
    def maximum(self) -> int:
        """Largest value of the table's depth."""
        return (1 << self.bits) - 1

    def __call__(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the entries for `values`, same shape."""
        index = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1).astype(np.intp)
        entries: npt.NDArray[np.float64] = self.entries.astype(np.float64)[index]
        return entries


def read_lut(item: Dataset, *, signed_input: bool, palette: str = "") -> Lut | None:
    """Return the table in an item of Modality LUT or VOI LUT Sequence; None if it cannot be used.

    `signed_input`: the input values can be negative, so the first value mapped is signed whatever its VR.
    `palette` is "Red", "Green" or "Blue" for the tables of PALETTE COLOR, which may be segmented.

    The depth of the descriptor applies unless an entry exceeds it; then the largest entry decides, up to 16 bits.
    """
    prefix = f"{palette}PaletteColorLookupTable" if palette else "LUT"
    descriptor = elements.numbers(item, f"{prefix}Descriptor")
    if len(descriptor) != _DESCRIPTOR_VALUES or any(math.isnan(value) for value in descriptor):
        return None
    count = int(descriptor[0]) & 0xFFFF or _WHOLE
    first = elements.signed(descriptor[1]) if signed_input else int(descriptor[1]) & 0xFFFF
    stated = int(descriptor[2]) & 0xFFFF
    segments = elements.payload(item, f"Segmented{prefix}Data") if palette else b""
    if segments and not elements.present(item, f"{prefix}Data"):
        entries = _from_segments(segments, count, stated)
    else:
        entries = _entries(elements.payload(item, f"{prefix}Data"), count, stated)
    if entries is None or not entries.any():
        return None
    needed = int(entries.max()).bit_length()
    bits = stated if _BYTE <= stated <= 2 * _BYTE and needed <= stated else max(needed, _BYTE)
    return Lut(first=first, bits=bits, entries=entries)


def _entries(content: bytes, count: int, bits: int) -> UInt16 | None:
    """Unpack entries of words, or of bytes where 8-bit entries are packed two to a word."""
    if len(content) >= 2 * count:
        return np.frombuffer(content, "<u2", count=count)
    if bits <= _BYTE and len(content) >= count:
        return np.frombuffer(content, "u1", count=count).astype(np.uint16)
    return None


def _from_segments(content: bytes, count: int, bits: int) -> UInt16 | None:
    entry_bytes = 1 if bits <= _BYTE else 2
    values = np.frombuffer(content, f"<u{entry_bytes}", count=len(content) // entry_bytes).tolist()
    try:
        entries = segmented_lut.expand(values, entry_bytes=entry_bytes, limit=count)
    except ValueError:
        return None
    return np.array(entries, np.uint16) if len(entries) == count else None
