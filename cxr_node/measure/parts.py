"""Outlines of one structure: its main part, its holes, and what else was outlined. Pure."""

from collections.abc import Sequence

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.reading import Point, Structure

SPLIT = 0.25
"""Two parts are one structure in two pieces where the second has at least this share of the first's area."""

_SINGLE = frozenset(
    {
        Anatomy.RIGHT_LUNG,
        Anatomy.LEFT_LUNG,
        Anatomy.HEART,
        Anatomy.RIGHT_HEMIDIAPHRAGM,
        Anatomy.LEFT_HEMIDIAPHRAGM,
        Anatomy.RIGHT_CLAVICLE,
        Anatomy.LEFT_CLAVICLE,
    }
)
"""Structures of one piece; specks beside them are dropped. A trachea is not: a tube in it may part its outline."""

Outline = Sequence[Point]


def area(outline: Outline) -> float:
    """Return the area within a closed outline, in film pixels."""
    pairs = zip(outline, [*outline[1:], outline[0]], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def encloses(outline: Outline, point: Point) -> bool:
    """Whether a point lies within an outline, by the even-odd rule."""
    column, row = point
    inside = False
    for a, b in zip(outline, [*outline[1:], outline[0]], strict=True):
        crosses = (a[1] > row) != (b[1] > row)
        if crosses and column < (b[0] - a[0]) * (row - a[1]) / (b[1] - a[1]) + a[0]:
            inside = not inside
    return inside


def kept(structure: Structure) -> list[Outline]:
    """Return the outlines to measure on: of a structure of one piece, the largest part with its holes."""
    outlines: list[Outline] = [region.outline for region in structure.regions if len(region.outline) > 2]
    if structure.key not in {each.value for each in _SINGLE} or len(outlines) < 2:
        return outlines
    largest = max(outlines, key=area)
    return [largest, *(each for each in outlines if each is not largest and encloses(largest, each[0]))]


def is_split(structure: Structure) -> bool:
    """Whether a structure of one piece was outlined in two that are both too large for a speck."""
    outlines: list[Outline] = [region.outline for region in structure.regions if len(region.outline) > 2]
    if structure.key not in {each.value for each in _SINGLE} or len(outlines) < 2:
        return False
    largest = max(outlines, key=area)
    others = [area(each) for each in outlines if each is not largest and not encloses(largest, each[0])]
    return bool(others) and max(others) >= SPLIT * area(largest)
