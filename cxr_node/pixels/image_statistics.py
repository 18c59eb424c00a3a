"""Polarity, exposure, exposed area and burned-in text of a frontal chest film, by simple rules. Pure.

The thresholds were set on 1,975 real films; docs/reference/pixels.md states the method and the misses.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import WHITE, UInt16
from cxr_node.pixels.lookup import strips, subsample

Thumbnail = npt.NDArray[np.float64]

_SIDE = 32
_MIN_CONTRADICTION = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Polarity:
    """Three contrasts of an upright frontal chest, in standard deviations of the whole film's brightness.

    Each is positive if denser tissue is brighter: mediastinum minus lungs, abdomen minus the air beside the neck,
    abdomen minus lungs.
    """

    mediastinum: float
    abdomen_over_air: float
    abdomen_over_lungs: float

    @property
    def is_reversed(self) -> bool:
        """Whether all three are negative and clearly so: black and white are exchanged."""
        total = self.mediastinum + (self.abdomen_over_air + self.abdomen_over_lungs) / 2
        largest = max(self.mediastinum, self.abdomen_over_air, self.abdomen_over_lungs)
        return largest < 0 and total < -_MIN_CONTRADICTION


def polarity(p_values: UInt16) -> Polarity:
    """Return the contrasts of an upright frontal chest film. Zero for a blank one."""
    small = thumbnail(p_values)
    spread = float(small.std()) or 1.0
    lungs = (_mean(small, 0.25, 0.6, 0.22, 0.38) + _mean(small, 0.25, 0.6, 0.66, 0.82)) / 2
    abdomen = _mean(small, 0.82, 1.0, 0.3, 0.7)
    air = min(_mean(small, 0.0, 0.1, 0.0, 0.15), _mean(small, 0.0, 0.1, 0.85, 1.0))
    return Polarity(
        mediastinum=(_mean(small, 0.2, 0.75, 0.44, 0.6) - lungs) / spread,
        abdomen_over_air=(abdomen - air) / spread,
        abdomen_over_lungs=(abdomen - lungs) / spread,
    )


def thumbnail(p_values: UInt16) -> Thumbnail:
    """Return mean brightness over a grid of 32 by 32 equal parts, 0.0 black to 1.0 white."""
    sampled = np.ascontiguousarray(subsample(p_values))
    rows, columns = (np.arange(_SIDE) * length // _SIDE for length in sampled.shape)
    # Sums of integers are exact. 32 bits hold those of 65,536 rows; `reduceat` along rows is slower than one at a time.
    parts = zip(rows, [*rows[1:], len(sampled)], strict=True)
    bands = np.stack([np.add.reduce(sampled[at : max(end, at + 1)], axis=0, dtype=np.uint32) for at, end in parts])
    sums = np.add.reduceat(bands, columns, axis=1, dtype=np.float64)
    counts = [
        np.maximum(np.diff([*starts, length]), 1) for starts, length in zip((rows, columns), sampled.shape, strict=True)
    ]
    means: Thumbnail = sums / (np.outer(*counts) * WHITE)
    return means


def _mean(small: Thumbnail, top: float, bottom: float, left: float, right: float) -> float:
    rows, columns = (slice(round(a * _SIDE), round(b * _SIDE)) for a, b in ((top, bottom), (left, right)))
    return float(small[rows, columns].mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class Brightness:
    """Use of the gray scale: range of the middle 90 % of the pixels, and shares of black and white, 0 to 1."""

    spread: float
    black: float
    white: float


def brightness(p_values: UInt16) -> Brightness:
    """Return the use of the gray scale."""
    counts = np.bincount(subsample(p_values).ravel(), minlength=WHITE + 1)
    low, high = (percentile(counts, share) / WHITE for share in (0.05, 0.95))
    total = int(counts.sum())
    return Brightness(spread=high - low, black=int(counts[0]) / total, white=int(counts[WHITE]) / total)


def percentile(counts: npt.NDArray[np.intp], share: float) -> float:
    """Return the value below which a `share` of the values lies, interpolated as `numpy.percentile` does.

    Parameters
    ----------
    counts
        Number of values of each size from 0 up.
    """
    ends = np.cumsum(counts)
    place = share * (int(ends[-1]) - 1)
    first = int(place)
    low, high = (int(np.searchsorted(ends, at, side="right")) for at in (first, min(first + 1, int(ends[-1]) - 1)))
    between = place - first
    return low + (high - low) * between if between < 0.5 else high - (high - low) * (1 - between)


_MIN_DETAIL = 0.01


def exposed_part(p_values: UInt16) -> tuple[float, float]:
    """Return the exposed shares of the film's height and width, 0 to 1 each.

    A row or column of nearly constant brightness is not exposed: a collimator's shadow, a border.
    """
    sampled = subsample(p_values).astype(np.float32) / WHITE
    parts = []
    for axis in (1, 0):
        (at,) = np.nonzero(sampled.std(axis=axis) > _MIN_DETAIL)
        parts.append(float(at[-1] + 1 - at[0]) / sampled.shape[1 - axis] if len(at) else 0.0)
    return parts[0], parts[1]


Edges = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.bool_]]

_EDGE = round(0.35 * WHITE)
_EVERY_ROW = 4
_MAX_STROKE_WIDTH = 24
_TILE = 48
_MIN_STROKES = 5
_MIN_TILES = 4


def has_text(p_values: UInt16) -> bool:
    """Whether the picture contains burned-in text.

    A letter's stroke rises and falls by a third of the gray scale, each within one pixel, and is narrow. Neither
    radiation nor a lead marker has such edges. Text means several areas with many strokes: on every fourth row, in
    squares of 48 pixels, at least 5 strokes in each of at least 4 squares.
    """
    row, column, rising = _edges(p_values[::_EVERY_ROW])
    narrow = np.diff(column) <= _MAX_STROKE_WIDTH
    stroke = (row[1:] == row[:-1]) & (rising[1:] != rising[:-1]) & narrow
    squares = (row[:-1][stroke] * _EVERY_ROW // _TILE) * (p_values.shape[1] // _TILE + 1) + column[:-1][stroke] // _TILE
    _, strokes = np.unique(squares, return_counts=True)
    return int(np.count_nonzero(strokes >= _MIN_STROKES)) >= _MIN_TILES


def _edges(p_values: UInt16) -> Edges:
    """Return steps of brightness between neighboring pixels: rows, columns, and whether it rises; row by row."""
    per_strip: list[Edges] = []
    for rows in strips(p_values):
        strip = p_values[rows]
        left, right = strip[:, :-1], strip[:, 1:]
        steps = np.maximum(left, right) - np.minimum(left, right)
        at = np.flatnonzero(steps > _EDGE)
        row, column = np.divmod(at, max(steps.shape[1], 1))
        per_strip.append((row + rows.start, column, right[row, column] > left[row, column]))
    row, column, rising = (np.concatenate(parts) for parts in zip(*per_strip, strict=True))
    return row, column, rising
