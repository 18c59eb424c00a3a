"""Grayscale chain: stored values to modality values to P-values (PS3.4 section N.2). Pure.

Each step depends on the value alone, so the whole chain is one table over the patterns of a cell (`pattern_table`).
High Bit, sign, unused bits, slope, windows and polarity are all part of that table.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import WHITE, UInt16
from cxr_node.pixels.description import Description
from cxr_node.pixels.lut import Lut

Values = npt.NDArray[np.float64]

_MIN_WIDTH = 1e-9
TABLE_BITS = 16
"""Largest cells that have a table: of larger ones it would be larger than the film."""


class WindowFunction(StrEnum):
    """VOI LUT Function (0028,1056)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    """Rescale Slope (0028,1053) and Intercept (0028,1052); a slope may be negative, never 0."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, values: Values) -> Values:
        """Return modality values for stored values."""
        return values * self.slope + self.intercept


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A VOI window in modality values, of usable width (see `is_usable`)."""

    center: float
    width: float
    function: WindowFunction = WindowFunction.LINEAR

    @property
    def is_usable(self) -> bool:
        """Whether the standard allows the width: at least 1 for LINEAR, above 0 else (C.11.2.1.2.1, .3.2)."""
        return self.width >= 1 if self.function is WindowFunction.LINEAR else self.width > 0

    def __call__(self, values: Values) -> Values:
        """Return 0.0 .. 1.0 for modality values: PS3.3 sections C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2."""
        match self.function:
            case WindowFunction.SIGMOID:
                with np.errstate(over="ignore"):
                    return 1.0 / (1.0 + np.exp(-4.0 * (values - self.center) / self.width))
            case WindowFunction.LINEAR_EXACT:
                return np.clip((values - self.center) / self.width + 0.5, 0.0, 1.0)
            case WindowFunction.LINEAR if self.width > 1:
                return np.clip((values - (self.center - 0.5)) / (self.width - 1.0) + 0.5, 0.0, 1.0)
            case WindowFunction.LINEAR:
                return (values > self.center - 0.5).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Transforms from a film's stored values to P-values.

    `is_inverted` follows from Photometric Interpretation: MONOCHROME1 shows the least value white.
    """

    modality: Rescale | Lut
    voi: Window | Lut
    is_inverted: bool


def between(low: float, high: float) -> Window:
    """Return the window that shows `low` black and `high` white; both mid-gray if they are equal."""
    return Window(center=(low + high) / 2, width=max(high - low, _MIN_WIDTH), function=WindowFunction.LINEAR_EXACT)


def modality_range(description: Description, modality: Rescale | Lut) -> tuple[float, float]:
    """Return the smallest and largest modality value of the film's bits."""
    if isinstance(modality, Lut):
        return 0.0, float(modality.maximum)
    ends = modality(np.array(description.stored_range, dtype=np.float64))
    return float(ends.min()), float(ends.max())


def stored_values(patterns: npt.NDArray[np.integer], description: Description) -> npt.NDArray[np.int64]:
    """Return the stored values for cells as they lie in memory.

    The sample is Bits Stored wide and ends at High Bit. Bits above it may be a sign, arbitrary or an overlay; bits
    below it are unused. PS3.5 section 8.1.1.
    """
    shift = description.high_bit + 1 - description.bits_stored
    values = (patterns.astype(np.int64) >> shift) & ((1 << description.bits_stored) - 1)
    if description.is_signed:
        sign = 1 << (description.bits_stored - 1)
        values = (values ^ sign) - sign
    return values


def p_values(stored: npt.NDArray[np.integer], chain: Chain) -> UInt16:
    """Return P-values, 0 black to 65535 white, for stored values of any shape."""
    modality_values = chain.modality(stored.astype(np.float64))
    brightness = chain.voi(modality_values)
    if isinstance(chain.voi, Lut):
        brightness = brightness / chain.voi.maximum
    if chain.is_inverted:
        brightness = 1.0 - brightness
    return np.rint(brightness * WHITE).astype(np.uint16)


def pattern_table(description: Description, chain: Chain) -> UInt16:
    """Return the P-value of every pattern of a cell of 8 or 16 bits."""
    patterns = np.arange(1 << description.bits_allocated)
    return p_values(stored_values(patterns, description), chain)
