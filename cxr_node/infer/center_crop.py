"""The preparation of TorchXRayVision's models: the square in the middle of a film, smoothed, reduced, -1024 to 1024.

The published models were trained behind `XRayCenterCrop` and `XRayResizer` of torchxrayvision, which hand the film to
scikit-image 0.19 or later: a Gaussian of standard deviation (reduction - 1) / 2 against aliasing, cut off at four of
them, then linear interpolation, both as if the film were surrounded by mid-grey (the value 0). Both steps are sums
along rows and along columns, so here they are one table of weights for each. Unlike there the sums are in 64 bits.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import WHITE, Float32, UInt16

RECIPE = "center-crop-gaussian"
VALUE_RANGE = (-1024.0, 1024.0)
DESCRIPTION = (
    "The square in the middle of the film, as large as its shorter side, is smoothed by a Gaussian of standard "
    "deviation (reduction - 1) / 2 pixels, mid-grey assumed around it, and sampled by linear interpolation; P-values "
    "0 (black) to 65535 (white) become -1024 to 1024. A film that is smaller is enlarged without smoothing."
)

_TRUNCATE = 4.0
"""Where the Gaussian is cut off, in standard deviations."""

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """Which part of a film is taken: its first row and column, and its side, in pixels."""

    row: int
    column: int
    side: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tap:
    """One sample as a weighted sum: of which pixel on, and the weights."""

    first: int
    weights: Float64


def square(rows: int, columns: int) -> Square:
    """Return the square in the middle of a film; of an odd remainder more lies before it if the side is odd."""
    side = min(rows, columns)
    return Square(row=rows // 2 - side // 2, column=columns // 2 - side // 2, side=side)


def prepare(p_values: UInt16, size: int) -> Float32:
    """Return a film as the published models see it.

    Parameters
    ----------
    p_values
        Shape (rows, columns), 0 black to 65535 white.

    Returns
    -------
    Float32
        Shape (size, size), -1024.0 black to 1024.0 white.
    """
    taken = square(*p_values.shape)
    film = p_values[taken.row : taken.row + taken.side, taken.column : taken.column + taken.side]
    taps = _taps(taken.side, size)
    values: Float64 = film.astype(np.float64) * (2 * VALUE_RANGE[1] / WHITE) + VALUE_RANGE[0]
    # Along columns of pixels first: whole rows are contiguous. Then the same on what is left, turned over.
    bands = _sampled(values, taps)
    samples = _sampled(np.ascontiguousarray(bands.T), taps).T
    # What is beside the film must not make it brighter or darker than it is anywhere.
    return np.clip(samples, values.min(), values.max()).astype(np.float32)


def _sampled(values: Float64, taps: list[_Tap]) -> Float64:
    """Return weighted sums of rows, shape (taps, columns)."""
    return np.stack([tap.weights @ values[tap.first : tap.first + len(tap.weights)] for tap in taps])


def _taps(pixels: int, size: int) -> list[_Tap]:
    """Return for each of `size` samples over `pixels` which pixels it is made of."""
    reduction = pixels / size
    kernel = _gaussian((reduction - 1) / 2) if reduction > 1 else np.ones(1)
    radius = len(kernel) // 2
    taps = []
    for sample in range(size):
        center = (sample + 0.5) * reduction - 0.5
        left = math.floor(center)
        share = center - left
        # Two neighbouring pixels of the smoothed film, each the sum of a kernel's width of pixels of the film.
        weights = np.zeros(len(kernel) + 1)
        weights[:-1] += (1 - share) * kernel
        weights[1:] += share * kernel
        first = left - radius
        before, beyond = max(0, -first), max(0, first + len(weights) - pixels)
        taps.append(_Tap(first=first + before, weights=weights[before : len(weights) - beyond]))
    return taps


def _gaussian(deviation: float) -> Float64:
    """Return the weights of a Gaussian over whole pixels, their sum 1."""
    radius = int(_TRUNCATE * deviation + 0.5)
    weights: Float64 = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    weights /= weights.sum()
    return weights
