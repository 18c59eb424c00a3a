"""Lines with fewer corners. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Line = npt.NDArray[np.float64]
"""Shape (corners, 2)."""

_Numbers = npt.NDArray[np.intp]


def thinned(lines: Sequence[Line], tolerance: float) -> list[Line]:
    """Leave out corners of open lines within `tolerance` of them (Douglas and Peucker, 1973); their ends stay.

    All pieces of all lines are halved in one step of arrays: one piece at a time costs as much as a network.
    """
    if not lines:
        return []
    corners = np.concatenate(lines)
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
        furthest, distances = _furthest(corners, first, last)
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


def area(line: Line) -> float:
    """Return the area within a closed line, its first corner not repeated."""
    # From the first corner, so that far from the origin no digits are lost.
    across, down = (line - line[0]).T
    return abs(float(np.sum(across * np.roll(down, -1) - np.roll(across, -1) * down))) / 2


def _furthest(corners: Line, first: _Numbers, last: _Numbers) -> tuple[_Numbers, npt.NDArray[np.float64]]:
    """Return the corner furthest from each piece between two others, and how far; each has a corner in between."""
    counts = last - first - 1
    begins = np.cumsum(counts) - counts
    piece = np.repeat(np.arange(len(first)), counts)
    between = np.arange(len(piece)) + (first + 1 - begins)[piece]
    along = corners[last] - corners[first]
    squared = (along**2).sum(axis=1)
    from_start = corners[between] - corners[first][piece]
    shares = (from_start * along[piece]).sum(axis=1) / np.where(squared > 0, squared, 1.0)[piece]
    distances = np.hypot(*(from_start - np.clip(shares, 0, 1)[:, None] * along[piece]).T)
    largest = np.maximum.reduceat(distances, begins)
    at = np.flatnonzero(distances == largest[piece])
    return between[at[np.unique(piece[at], return_index=True)[1]]], largest
