"""Placement of labels on a film: inside it, beside their regions, none over another. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxr_node.domain.reading import Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Rectangle with its upper left corner at (`left`, `top`)."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.top + self.height

    def overlaps(self, other: "Box") -> bool:
        """Whether the rectangles have an area in common."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def nearest(self, point: Point) -> Point:
        """Return the point of the rectangle that is nearest to `point`."""
        return min(max(point[0], self.left), self.right), min(max(point[1], self.top), self.bottom)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Label of `width` by `height` for what is at `anchor`."""

    anchor: Point
    width: float
    height: float


def placed(requests: Sequence[Request], film: Box, avoided: Sequence[Box] = ()) -> list[Box | None]:
    """Return the rectangle of each label, or None of one that the film has no room for.

    Labels are inside `film` and do not overlap. Each is as near to its anchor as the earlier ones permit, and outside
    of `avoided` where that is possible.
    """
    placed_boxes: list[Box] = []
    boxes: list[Box | None] = []
    for request in requests:
        box = _free(request, film, [*placed_boxes, *avoided]) or _free(request, film, placed_boxes)
        boxes.append(box)
        placed_boxes += [box] if box else []
    return boxes


def around(points: Sequence[Point]) -> Box:
    """Return the rectangle around points."""
    columns, rows = [point[0] for point in points], [point[1] for point in points]
    return Box(left=min(columns), top=min(rows), width=max(columns) - min(columns), height=max(rows) - min(rows))


def _free(request: Request, film: Box, occupied: Sequence[Box]) -> Box | None:
    """Return the free rectangle that is nearest to the anchor; of equally near ones the first."""
    width, height = request.width, request.height
    lefts, tops = _candidates(request, film, occupied)
    if not lefts or not tops:
        return None
    beside = [[box.left < left + width and left < box.right for box in occupied] for left in lefts]
    level = [[box.top < top + height and top < box.bottom for box in occupied] for top in tops]
    # Boxes that a candidate overlaps: those that are neither beside nor above or below it.
    overlapped = np.array(beside, np.int64).reshape(len(lefts), -1) @ np.array(level, np.int64).reshape(len(tops), -1).T
    column, row = request.anchor
    across = [(min(max(column, left), left + width) - column) ** 2 for left in lefts]
    down = [(min(max(row, top), top + height) - row) ** 2 for top in tops]
    distances = np.where(overlapped == 0, np.add.outer(across, down), np.inf)
    at, below = divmod(int(distances.argmin()), len(tops))
    if np.isinf(distances[at, below]):
        return None
    return Box(left=lefts[at], top=tops[below], width=width, height=height)


def _candidates(request: Request, film: Box, occupied: Sequence[Box]) -> tuple[list[float], list[float]]:
    """Return left and upper edges in the film: beside the anchor, at the edges of other rectangles, and on a grid."""
    (column, row), width, height = request.anchor, request.width, request.height
    gap = height / 4
    lefts = [column + gap, column - gap - width, column - width / 2, film.left, film.right - width]
    tops = [row - gap - height, row + gap, row - height / 2, film.top, film.bottom - height]
    lefts += [edge for box in occupied for edge in (box.right, box.left - width)]
    tops += [edge for box in occupied for edge in (box.bottom, box.top - height)]
    return (
        [left for left in dict.fromkeys(lefts) if film.left <= left and left + width <= film.right],
        [top for top in dict.fromkeys(tops) if film.top <= top and top + height <= film.bottom],
    )
