"""Lines with fewer corners. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Line = npt.NDArray[np.float64]
"""Shape (corners, 2)."""

_Numbers = npt.NDArray[np.intp]
_Floats = npt.NDArray[np.float64]


def thinned(lines: Sequence[Line], tolerance: float) -> list[Line]:
    """Leave out corners of open lines within `tolerance` of them (Douglas and Peucker, 1973); their ends stay.

    All pieces of all lines are halved in one step of arrays: one piece at a time costs as much as a network.
    """
    if not lines:
        return []
    corners = np.concatenate(lines)
    across, down = np.ascontiguousarray(corners.T)
    ends = np.cumsum([len(line) for line in lines])
    starts = np.concatenate([[0], ends[:-1]])
    keep = np.zeros(len(corners), np.bool_)
    keep[starts] = keep[ends - 1] = True
    first, last = starts, ends - 1
    while True:
        long = last - first >= 2
        first, last = first[long], last[long]
        if not len(first):
            break
        furthest, distances = _furthest(across, down, first, last)
        far = distances > tolerance
        first, last, furthest = first[far], last[far], furthest[far]
        keep[furthest] = True
        first, last = np.concatenate([first, furthest]), np.concatenate([furthest, last])
    return [corners[start:end][keep[start:end]] for start, end in zip(starts, ends, strict=True)]


def thinned_loops(lines: Sequence[Line], tolerance: float) -> list[Line]:
    """The same for closed lines, the first corner not repeated; what would have fewer than three is left alone."""
    halves = []
    for line in lines:
        far = int(((line - line[0]) ** 2).sum(axis=1).argmax())
        halves += [line[: far + 1], np.concatenate([line[far:], line[:1]])]
    kept = thinned(halves, tolerance)
    joined = [np.concatenate([there[:-1], back[:-1]]) for there, back in zip(kept[::2], kept[1::2], strict=True)]
    return [one if len(one) >= 3 else line for one, line in zip(joined, lines, strict=True)]


def _furthest(across: _Floats, down: _Floats, first: _Numbers, last: _Numbers) -> tuple[_Numbers, _Floats]:
    """Return the corner furthest from each piece between two others, and how far; each has a corner in between."""
    counts = last - first - 1
    begins = np.cumsum(counts) - counts
    piece = np.repeat(np.arange(len(first)), counts)
    between = np.arange(len(piece)) + (first + 1 - begins)[piece]
    # Coordinates apart: numpy is slow along an axis of two.
    along, upward = across[last] - across[first], down[last] - down[first]
    squared = along**2 + upward**2
    along, upward = along[piece], upward[piece]
    x, y = across[between] - across[first][piece], down[between] - down[first][piece]
    shares = np.clip((x * along + y * upward) / np.where(squared > 0, squared, 1.0)[piece], 0, 1)
    distances = np.sqrt((x - shares * along) ** 2 + (y - shares * upward) ** 2)
    largest = np.maximum.reduceat(distances, begins)
    at = np.flatnonzero(distances == largest[piece])
    of = piece[at]
    is_first = np.ones(len(at), np.bool_)
    is_first[1:] = of[1:] != of[:-1]
    return between[at[is_first]], largest
