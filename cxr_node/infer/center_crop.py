"""Preparation of TorchXRayVision's models: the central square of a film, smoothed, reduced, -1024 to 1024.

The published models were trained with `XRayCenterCrop` and `XRayResizer` of torchxrayvision. These use scikit-image
0.19 or later: a Gaussian of standard deviation (reduction - 1) / 2 against aliasing, cut off at four of them, then
linear interpolation, both with mid-grey (the value 0) around the film. Intermediate values are rounded to 32 bits there
and here: a network of fifty layers amplifies the last bit.
"""

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
"""Cut-off of the Gaussian, in standard deviations."""

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """The part of a film that is used: first row, first column and side, in pixels."""

    row: int
    column: int
    side: int


def square(rows: int, columns: int) -> Square:
    """Return the central square of a film; if the remainder is odd, the larger half precedes an odd side."""
    side = min(rows, columns)
    return Square(row=rows // 2 - side // 2, column=columns // 2 - side // 2, side=side)


def prepare(p_values: UInt16, size: int) -> Float32:
    """Return a film as input of the published models.

    Parameters
    ----------
    p_values
        Shape (rows, columns), 0 black to 65535 white.

    Returns
    -------
    Float32
        Shape (size, size), -1024.0 black to 1024.0 white.
    """
    crop = square(*p_values.shape)
    film = p_values[crop.row : crop.row + crop.side, crop.column : crop.column + crop.side]
    values: Float32 = (2 * (film.astype(np.float32) / np.float32(WHITE)) - 1) * np.float32(VALUE_RANGE[1])
    reduction = crop.side / size
    centers = (np.arange(size) + 0.5) * reduction - 0.5
    kernel = _gaussian((reduction - 1) / 2) if reduction > 1 else np.ones(1)
    # Only the two pixels beside each sample are smoothed: along columns, then along rows.
    neighbours = (np.floor(centers)[:, None] + (0, 1)).astype(np.intp).ravel()
    bands = _smooth(values, neighbours, kernel)  # (2 * size, side)
    cells = _smooth(np.ascontiguousarray(bands.T), neighbours, kernel).T  # (2 * size, 2 * size)
    shares = centers - np.floor(centers)
    weights = np.stack([1 - shares, shares], axis=1)  # (size, 2)
    samples = np.einsum("iajb,ia,jb->ij", cells.reshape(size, 2, size, 2), weights, weights, dtype=np.float64)
    # The grey around the film must not make it brighter or darker than its extremes.
    prepared: Float32 = np.clip(samples.astype(np.float32), values.min(), values.max())
    return prepared


def _smooth(values: Float32, rows: npt.NDArray[np.intp], kernel: Float64) -> Float32:
    """Return `rows` of the film smoothed along its columns, shape (rows, columns); 0 for a row outside the film."""
    radius, height = len(kernel) // 2, len(values)
    smoothed = np.zeros((len(rows), values.shape[1]), np.float32)
    for place, row in enumerate(rows):
        if 0 <= row < height:
            first, last = max(0, row - radius), min(height, row + radius + 1)
            start = first - (row - radius)
            smoothed[place] = kernel[start : start + last - first] @ values[first:last].astype(np.float64)
    return smoothed


def _gaussian(deviation: float) -> Float64:
    """Return the weights of a Gaussian over whole pixels, their sum 1."""
    radius = int(_TRUNCATE * deviation + 0.5)
    weights: Float64 = np.exp(-0.5 / deviation**2 * np.arange(-radius, radius + 1) ** 2)
    weights /= weights.sum()
    return weights
