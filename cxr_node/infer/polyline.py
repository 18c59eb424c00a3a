"""Lines with fewer corners. Pure."""

import numpy as np
import numpy.typing as npt

Line = npt.NDArray[np.float64]
"""Shape (corners, 2)."""


def thinned(line: Line, tolerance: float) -> Line:
    """Leave out corners of an open line within `tolerance` of it (Douglas and Peucker, 1973); its ends stay."""
    keep = np.zeros(len(line), np.bool_)
    keep[[0, -1]] = True
    waiting = [(0, len(line) - 1)]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        distances = _distances(line[first + 1 : last], line[first], line[last])
        furthest = first + 1 + int(distances.argmax())
        if distances[furthest - first - 1] > tolerance:
            keep[furthest] = True
            waiting += [(first, furthest), (furthest, last)]
    return line[keep]


def thinned_loop(line: Line, tolerance: float) -> Line:
    """The same for a closed line, its first corner not repeated; what would have fewer than three is left alone."""
    far = int(((line - line[0]) ** 2).sum(axis=1).argmax())
    there = thinned(line[: far + 1], tolerance)
    back = thinned(np.concatenate([line[far:], line[:1]]), tolerance)
    kept = np.concatenate([there[:-1], back[:-1]])
    return kept if len(kept) >= 3 else line


def area(line: Line) -> float:
    """Return the area within a closed line, its first corner not repeated."""
    # From the first corner, so that far from the origin no digits are lost.
    across, down = (line - line[0]).T
    return abs(float(np.sum(across * np.roll(down, -1) - np.roll(across, -1) * down))) / 2


def _distances(corners: Line, start: Line, end: Line) -> npt.NDArray[np.float64]:
    """Return how far each corner lies from the piece of line between two others."""
    along = end - start
    squared = float(along @ along)
    shares = np.clip((corners - start) @ along / squared, 0, 1) if squared else np.zeros(len(corners))
    distances: npt.NDArray[np.float64] = np.hypot(*(corners - start - shares[:, None] * along).T)
    return distances
