"""Placement of labels on a film: inside it, beside their regions, none over another. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    taken: list[Box] = []
    boxes: list[Box | None] = []
    for request in requests:
        box = _free(request, film, [*taken, *avoided]) or _free(request, film, taken)
        boxes.append(box)
        taken += [box] if box else []
    return boxes


def around(points: Sequence[Point]) -> Box:
    """Return the rectangle around points."""
    columns, rows = [point[0] for point in points], [point[1] for point in points]
    return Box(left=min(columns), top=min(rows), width=max(columns) - min(columns), height=max(rows) - min(rows))


def _free(request: Request, film: Box, taken: Sequence[Box]) -> Box | None:
    def distance(box: Box) -> float:
        column, row = box.nearest(request.anchor)
        return (column - request.anchor[0]) ** 2 + (row - request.anchor[1]) ** 2

    free = (box for box in _candidates(request, film, taken) if not any(box.overlaps(other) for other in taken))
    return min(free, key=distance, default=None)


def _candidates(request: Request, film: Box, taken: Sequence[Box]) -> Iterator[Box]:
    """Yield rectangles beside the anchor, at the edges of those taken, and on a grid over the film."""
    (column, row), width, height = request.anchor, request.width, request.height
    gap = height / 4
    lefts = [column + gap, column - gap - width, column - width / 2, film.left, film.right - width]
    tops = [row - gap - height, row + gap, row - height / 2, film.top, film.bottom - height]
    lefts += [edge for box in taken for edge in (box.right, box.left - width)]
    tops += [edge for box in taken for edge in (box.bottom, box.top - height)]
    for left in dict.fromkeys(lefts):
        for top in dict.fromkeys(tops):
            if film.left <= left and left + width <= film.right and film.top <= top and top + height <= film.bottom:
                yield Box(left=left, top=top, width=width, height=height)
