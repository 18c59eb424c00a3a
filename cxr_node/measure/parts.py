"""Parts of one outlined structure: main part, holes, and fragments elsewhere. Pure."""

from collections.abc import Sequence

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.geometry import is_inside, polygon_area
from cxr_node.domain.reading import Point, Structure

SPLIT_SHARE = 0.25
"""A structure is split if its second part has at least this share of the first part's area."""

_IN_ONE_PIECE = frozenset(
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
"""Structures in one piece; fragments beside them are dropped. Not the trachea: a tube may divide its outline."""

Outline = Sequence[Point]


def main_part(structure: Structure) -> list[Outline]:
    """Return the outlines to measure on: of a structure in one piece, the largest part with its holes."""
    outlines = _outlines(structure)
    if structure.key not in _IN_ONE_PIECE or len(outlines) < 2:
        return outlines
    largest = max(outlines, key=polygon_area)
    return [largest, *(other for other in outlines if other is not largest and is_inside(other[0], largest))]


def is_split(structure: Structure) -> bool:
    """Whether a structure in one piece was outlined as two, both too large for a fragment."""
    outlines = _outlines(structure)
    if structure.key not in _IN_ONE_PIECE or len(outlines) < 2:
        return False
    main = main_part(structure)
    return any(
        polygon_area(other) >= SPLIT_SHARE * polygon_area(main[0])
        for other in outlines
        if not any(other is outline for outline in main)
    )


def _outlines(structure: Structure) -> list[Outline]:
    return [region.outline for region in structure.regions if len(region.outline) > 2]
