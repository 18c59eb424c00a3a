"""Resampling of a gray picture along both axes, as the usual libraries do it.

Each output cell is a weighted sum of a run of input cells. With antialiasing the kernel is stretched by the reduction
(Pillow, torchvision); without, it covers its neighbours only, as OpenCV and torch's `interpolate` do.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import Float32

Kernel = Literal["bilinear", "bicubic", "lanczos", "area", "nearest", "nearest-center"]
Float64 = npt.NDArray[np.float64]

_GRAY_LEVELS = 255
_LANCZOS = 3.0


@dataclass(frozen=True, slots=True)
class _Run:
    """One output cell: the first input cell, and the weights of the cells from there on."""

    first: int
    weights: Float32


def resize(values: Float32, rows: int, columns: int, *, kernel: Kernel, antialias: bool, is_8_bit: bool) -> Float32:
    """Return a picture in another size.

    Parameters
    ----------
    values
        Shape (r, c), 0.0 black to 1.0 white.
    is_8_bit
        Round to 256 gray levels, and clip to 0.0 .. 1.0, after each axis: columns first, as Pillow does.

    Returns
    -------
    Float32
        Shape (rows, columns). Cubic and Lanczos kernels overshoot 0.0 .. 1.0 unless `is_8_bit`.
    """
    across = _runs(kernel, values.shape[1], columns, antialias=antialias)
    bands = np.empty((len(values), columns), np.float32)
    for place, run in enumerate(across):
        bands[:, place] = values[:, run.first : run.first + len(run.weights)] @ run.weights
    bands = round_to_8_bit(bands) if is_8_bit else bands
    down = _runs(kernel, values.shape[0], rows, antialias=antialias)
    cells = np.stack([run.weights @ bands[run.first : run.first + len(run.weights)] for run in down])
    return round_to_8_bit(cells) if is_8_bit else cells


def round_to_8_bit(values: Float32) -> Float32:
    """Return values rounded to multiples of 1/255, halves up, and clipped to 0.0 .. 1.0."""
    levels: Float32 = np.floor(np.clip(values, 0, 1) * np.float32(_GRAY_LEVELS) + np.float32(0.5))
    return levels / np.float32(_GRAY_LEVELS)


def _runs(kernel: Kernel, cells: int, count: int, *, antialias: bool) -> list[_Run]:
    """Return the run of input cells for each of `count` output cells."""
    step = cells / count
    if kernel == "nearest":
        return [_Run(min(math.floor(place * step), cells - 1), np.ones(1, np.float32)) for place in range(count)]
    if kernel == "nearest-center":
        return [
            _Run(min(math.floor((place + 0.5) * step), cells - 1), np.ones(1, np.float32)) for place in range(count)
        ]
    if kernel == "area":
        return [_overlaps(place * step, (place + 1) * step, cells) for place in range(count)]
    if antialias or kernel == "lanczos":
        return [_stretched(kernel, (place + 0.5) * step, max(step, 1.0), cells) for place in range(count)]
    return [_neighbours(kernel, (place + 0.5) * step - 0.5, cells) for place in range(count)]


def _overlaps(start: float, end: float, cells: int) -> _Run:
    """Return the share of each input cell within `start` .. `end`."""
    first, last = math.floor(start), min(max(math.ceil(end - 1e-9), math.floor(start) + 1), cells)
    edges = np.arange(first, last + 1, dtype=np.float64)
    shares = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
    return _Run(first, (shares / shares.sum()).astype(np.float32))


def _stretched(kernel: Kernel, center: float, stretch: float, cells: int) -> _Run:
    """Return the kernel stretched by the reduction, its weights outside the picture left out."""
    weight, support = _KERNELS[kernel]
    first = max(int(center - support * stretch + 0.5), 0)
    last = min(int(center + support * stretch + 0.5), cells)
    weights = weight((np.arange(first, last, dtype=np.float64) + 0.5 - center) / stretch)
    return _Run(first, (weights / weights.sum()).astype(np.float32))


def _neighbours(kernel: Kernel, center: float, cells: int) -> _Run:
    """Return the kernel over its nearest cells; those outside the picture repeat the outermost."""
    if kernel == "bilinear":
        places = np.arange(2, dtype=np.float64) + math.floor(center)
        weights = _triangle(places - center)
    else:
        places = np.arange(4, dtype=np.float64) + math.floor(center) - 1
        weights = _cubic(places - center, sharpness=-0.75)
    inside = np.clip(places, 0, cells - 1).astype(np.intp)
    first = int(inside.min())
    return _Run(first, np.bincount(inside - first, weights=weights).astype(np.float32))


def _triangle(distances: Float64) -> Float64:
    weights: Float64 = np.maximum(1 - np.abs(distances), 0)
    return weights


def _cubic(distances: Float64, sharpness: float = -0.5) -> Float64:
    """Return Keys' cubic kernel: sharpness -0.5 in Pillow, -0.75 in OpenCV and torch without antialiasing."""
    x, a = np.abs(distances), sharpness
    near, far = (a + 2) * x**3 - (a + 3) * x**2 + 1, a * (x**3 - 5 * x**2 + 8 * x - 4)
    weights: Float64 = np.where(x < 1, near, np.where(x < 2, far, 0))
    return weights


def _lanczos(distances: Float64) -> Float64:
    weights: Float64 = np.where(np.abs(distances) < _LANCZOS, np.sinc(distances) * np.sinc(distances / _LANCZOS), 0)
    return weights


_KERNELS: dict[Kernel, tuple[Callable[[Float64], Float64], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
    "lanczos": (_lanczos, _LANCZOS),
}
"""Kernel and half its width, in output cells."""
