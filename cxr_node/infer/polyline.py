"""Line simplification (Douglas and Peucker, 1973) of many lines at once. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Line = npt.NDArray[np.float64]
"""Shape (corners, 2)."""

_Numbers = npt.NDArray[np.intp]
_Floats = npt.NDArray[np.float64]


def simplify_lines(lines: Sequence[Line], tolerance: float) -> list[Line]:
    """Drop corners of open lines that lie within `tolerance` of the result; end points stay.

    All pieces of all lines are split together by array operations: one at a time would cost as much as a network.
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


def simplify_loops(lines: Sequence[Line], tolerance: float) -> list[Line]:
    """Simplify closed lines, first corner not repeated; a line left with fewer than three corners is unchanged."""
    halves = []
    for line in lines:
        far = int(((line - line[0]) ** 2).sum(axis=1).argmax())
        halves += [line[: far + 1], np.concatenate([line[far:], line[:1]])]
    simplified = simplify_lines(halves, tolerance)
    joined = [
        np.concatenate([first[:-1], second[:-1]])
        for first, second in zip(simplified[::2], simplified[1::2], strict=True)
    ]
    return [one if len(one) >= 3 else line for one, line in zip(joined, lines, strict=True)]


def _furthest(across: _Floats, down: _Floats, first: _Numbers, last: _Numbers) -> tuple[_Numbers, _Floats]:
    """Return the corner farthest from each piece, and its distance; each piece has a corner in between."""
    counts = last - first - 1
    begins = np.cumsum(counts) - counts
    piece = np.repeat(np.arange(len(first)), counts)
    between = np.arange(len(piece)) + (first + 1 - begins)[piece]
    # Coordinates as separate arrays: numpy is slow along an axis of two.
    along, upward = across[last] - across[first], down[last] - down[first]
    squared = along**2 + upward**2
    along, upward = along[piece], upward[piece]
    x, y = across[between] - across[first][piece], down[between] - down[first][piece]
    shares = np.clip((x * along + y * upward) / np.where(squared > 0, squared, 1.0)[piece], 0, 1)
    distances = np.sqrt((x - shares * along) ** 2 + (y - shares * upward) ** 2)
    largest = np.maximum.reduceat(distances, begins)
    at = np.flatnonzero(distances == largest[piece])
    owner = piece[at]
    is_first = np.ones(len(at), np.bool_)
    is_first[1:] = owner[1:] != owner[:-1]
    return between[at[is_first]], largest
