"""The recipe "steps": preparation of a film in steps that the card states one by one.

In this order: scale the gray levels of the whole film, invert, round to 8 bits, resize, map to the value range,
subtract the mean and divide by the deviation of each channel.
"""

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from cxr_node.domain.radiograph import WHITE, Float32, UInt16
from cxr_node.infer.resize import Kernel, resize, round_to_8_bit

RECIPE = "steps"
MAX_CHANNELS = 3

Fit = Literal["squash", "center-crop", "letterbox"]
Scaling = Literal["display", "min-max", "percentile", "z-score"]

_SMALLEST_DEVIATION = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Steps of a preparation; `docs/models/README.md` has the meaning of each field.

    `low` and `high` are the values of black and white before `mean` and `deviation`, which have one number, or one for
    each channel. `shorter_side` is the size of the film's shorter side before the central crop; 0 for the input's own.
    """

    fit: Fit = "squash"
    shorter_side: int = 0
    kernel: Kernel = "bilinear"
    antialias: bool = True
    is_8_bit: bool = False
    scaling: Scaling = "display"
    percentiles: tuple[float, float] = (1.0, 99.0)
    inverted: bool = False
    low: float = 0.0
    high: float = 1.0
    channels: int = 1
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    def sentence(self) -> str:
        """Return the steps that differ from the defaults, for the identity of a model."""
        changed = [
            f"{field.name}={_plain(getattr(self, field.name))}"
            for field in fields(self)
            if getattr(self, field.name) != getattr(DEFAULT, field.name)
        ]
        return " ".join(changed)


DEFAULT = Steps()


def _plain(value: object) -> str:
    return str(list(value)).replace(" ", "") if isinstance(value, tuple) else str(value)


def prepare(p_values: UInt16, rows: int, columns: int, steps: Steps) -> Float32:
    """Return a film as network input.

    Parameters
    ----------
    p_values
        Shape (rows of the film, columns of the film), 0 black to 65535 white.

    Returns
    -------
    Float32
        Shape (rows, columns) with one channel, otherwise (channels, rows, columns).
    """
    gray = scaled(p_values, steps)
    cells = fitted(gray, rows, columns, steps)
    if steps.scaling == "z-score":
        cells = (cells - cells.mean()) / max(float(cells.std()), _SMALLEST_DEVIATION)
    values = np.float32(steps.low) + cells * np.float32(steps.high - steps.low)
    return normalised(values.astype(np.float32), steps)


def normalised(values: Float32, steps: Steps) -> Float32:
    """Return values less the mean, over the deviation, of each channel."""
    mean, deviation = np.array(steps.mean, np.float32), np.array(steps.deviation, np.float32)
    if steps.channels == 1:
        single: Float32 = (values - mean[0]) / deviation[0]
        return single
    several = np.broadcast_to(values, (steps.channels, *values.shape))
    channels: Float32 = (several - mean[:, None, None]) / deviation[:, None, None]
    return np.ascontiguousarray(channels)


def scaled(p_values: UInt16, steps: Steps) -> Float32:
    """Return gray values from 0.0 to 1.0, by a table of all P-values."""
    low, high = 0.0, float(WHITE)
    if steps.scaling == "min-max":
        low, high = float(p_values.min()), float(p_values.max())
    elif steps.scaling == "percentile":
        low, high = (float(level) for level in np.percentile(p_values, steps.percentiles))
    levels = np.arange(WHITE + 1, dtype=np.float64)
    table = np.clip((levels - low) / max(high - low, 1.0), 0, 1).astype(np.float32)
    if steps.inverted:
        table = 1 - table
    if steps.is_8_bit:
        table = round_to_8_bit(table)
    gray: Float32 = table[p_values]
    return gray


def fitted(gray: Float32, rows: int, columns: int, steps: Steps) -> Float32:
    """Return a gray picture in the size of the input: squashed, cropped in the middle, or with black borders."""
    height, width = size_before_crop(gray.shape[0], gray.shape[1], rows, columns, steps)
    cells = resize(gray, height, width, kernel=steps.kernel, antialias=steps.antialias, is_8_bit=steps.is_8_bit)
    if steps.fit == "center-crop":
        top, left = crop_offset(height, rows), crop_offset(width, columns)
        return cells[top : top + rows, left : left + columns]
    if steps.fit == "letterbox":
        framed = np.zeros((rows, columns), np.float32)
        top, left = (rows - height) // 2, (columns - width) // 2
        framed[top : top + height, left : left + width] = cells
        return framed
    return cells


def size_before_crop(film_rows: int, film_columns: int, rows: int, columns: int, steps: Steps) -> tuple[int, int]:
    """Return the size to which a film is resized, before cropping or framing."""
    if steps.fit == "squash":
        return rows, columns
    if steps.fit == "letterbox":
        scale = min(rows / film_rows, columns / film_columns)
        return min(max(round(film_rows * scale), 1), rows), min(max(round(film_columns * scale), 1), columns)
    side = steps.shorter_side or max(rows, columns)
    shorter = min(film_rows, film_columns)
    return int(side * film_rows / shorter), int(side * film_columns / shorter)


def crop_offset(size: int, wanted: int) -> int:
    """Return the first row or column of a central crop, as torchvision counts it."""
    return round((size - wanted) / 2.0)
