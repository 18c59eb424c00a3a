"""Outlines of one structure: its main part, its holes, and what else was outlined. Pure."""

from collections.abc import Sequence

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.geometry import is_inside, polygon_area
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


def kept(structure: Structure) -> list[Outline]:
    """Return the outlines to measure on: of a structure of one piece, the largest part with its holes."""
    outlines: list[Outline] = [region.outline for region in structure.regions if len(region.outline) > 2]
    if structure.key not in {each.value for each in _SINGLE} or len(outlines) < 2:
        return outlines
    largest = max(outlines, key=polygon_area)
    return [largest, *(each for each in outlines if each is not largest and is_inside(each[0], largest))]


def is_split(structure: Structure) -> bool:
    """Whether a structure of one piece was outlined in two that are both too large for a speck."""
    outlines: list[Outline] = [region.outline for region in structure.regions if len(region.outline) > 2]
    if structure.key not in {each.value for each in _SINGLE} or len(outlines) < 2:
        return False
    largest = max(outlines, key=polygon_area)
    others = [polygon_area(each) for each in outlines if each is not largest and not is_inside(each[0], largest)]
    return bool(others) and max(others) >= SPLIT * polygon_area(largest)
