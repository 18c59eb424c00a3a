"""From a network's structure logits for one film to outlines of the anatomy. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import contourpy
import numpy as np
import numpy.typing as npt

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.geometry import fill, polygon_area
from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import Region, Structure
from cxr_node.infer import polyline
from cxr_node.infer.polyline import Line

TOLERANCE = 0.1
"""How far, in cells, a simplified outline may lie from the one that was found. Round outlines shrink by half of it."""

SMALLEST = 1 / 4000
"""Parts smaller than this share of the picture are specks."""

WHOLE = frozenset(
    {
        Anatomy.RIGHT_LUNG,
        Anatomy.LEFT_LUNG,
        Anatomy.HEART,
        Anatomy.RIGHT_CLAVICLE,
        Anatomy.LEFT_CLAVICLE,
        Anatomy.TRACHEA,
        Anatomy.RIGHT_HEMIDIAPHRAGM,
        Anatomy.LEFT_HEMIDIAPHRAGM,
    }
)
"""What is in one piece and without holes: its largest part is kept, and filled."""

_RIVALS = ((Anatomy.RIGHT_LUNG, Anatomy.LEFT_LUNG), (Anatomy.LEFT_LUNG, Anatomy.RIGHT_LUNG))
_DIGITS = 2
"""Of film coordinates: a hundredth of a pixel, far below what a network can tell."""

_Float64 = npt.NDArray[np.float64]


def structures(keys: Sequence[Anatomy], logits: Float32, area: Region) -> tuple[Structure, ...]:
    """Return what is seen of each structure.

    The outline runs where the logits, interpolated between the centers of cells, cross 0, and along the edge of the
    map where the structure goes on beyond it. What both lungs claim belongs to the one with the larger logit.

    Parameters
    ----------
    logits
        Shape (structures, map rows, map columns), above 0 inside.
    area
        The rectangle of the film that the map covers: the center of cell i of n lies at (i + 0.5) / n of it.

    Raises
    ------
    ValueError
        If an output is not finite.
    """
    if not np.isfinite(logits).all():
        raise ValueError("the network gave structures that are not finite")
    grids = dict(zip(keys, logits.astype(np.float64), strict=True))
    # Above 0 exactly where it is both inside and the larger, and continuous, so that the border between two is smooth.
    fields = dict(grids)
    for one, other in _RIVALS:
        if one in grids and other in grids:
            fields[one] = np.minimum(grids[one], grids[one] - grids[other])
    parts = {key: _kept(key, field) for key, field in fields.items()}
    lines = [line for each in parts.values() for part in each for line in part]
    thinned = iter(polyline.thinned_loops(lines, TOLERANCE))
    return tuple(
        Structure(
            key=key,
            confidence=_confidence(parts[key], fields[key], grids[key]),
            regions=tuple(_region(next(thinned), fields[key].shape, area) for part in parts[key] for _ in part),
        )
        for key in keys
    )


def _kept(key: Anatomy, field: _Float64) -> list[list[Line]]:
    """Return the parts that are no specks; of what is whole the largest, without its holes."""
    parts = [part for part in _parts(field) if polygon_area(part[0]) >= SMALLEST * field.size]
    if key in WHOLE and parts:
        return [max(parts, key=lambda part: polygon_area(part[0]))[:1]]
    return parts


def _confidence(parts: list[list[Line]], field: _Float64, logits: _Float64) -> float:
    if not parts:
        return 0.0
    within = np.logical_or.reduce([fill([part[0] + 0.5], field.shape) for part in parts]) & (field > 0)
    return _mean_score(logits[within])


def _parts(field: _Float64) -> list[list[Line]]:
    """Return what is above 0: of each part its outer outline and then its holes, as (column, row) of cell centers."""
    # A frame of the opposite sign, so that the outline of what touches the edge runs half a cell outside the
    # outermost centers: on the edge.
    framed = np.pad(field, 1, mode="edge")
    for edge in (framed[0], framed[-1], framed[:, 0], framed[:, -1]):
        np.negative(np.abs(edge), out=edge)
    generator = contourpy.contour_generator(z=framed, fill_type=contourpy.FillType.OuterOffset)
    # What comes depends on the fill type, which its annotations do not know.
    points, offsets = cast("tuple[list[Line], list[npt.NDArray[np.uint32]]]", generator.filled(0.0, np.inf))
    return [
        [part[first : last - 1] - 1 for first, last in pairwise(starts)]
        for part, starts in zip(points, offsets, strict=True)
    ]


def _mean_score(logits: _Float64) -> float:
    """Return the mean of 1 / (1 + exp(-logit)) of what is above 0, at least a half."""
    return float(np.mean(1 / (1 + np.exp(-logits)))) if len(logits) else 0.5


def _region(line: Line, shape: tuple[int, ...], area: Region) -> Region:
    """Return an outline in film coordinates."""
    (left, top), _, (right, bottom), _ = area.outline
    kept = line + 0.5
    across = np.round(left + kept[:, 0] * (right - left) / shape[1], _DIGITS)
    down = np.round(top + kept[:, 1] * (bottom - top) / shape[0], _DIGITS)
    return Region(outline=tuple(zip(across.tolist(), down.tolist(), strict=True)))


def part_of(area: Region, window: Sequence[float]) -> Region:
    """Return the rectangle that is `window` of `area`: left, top, right and bottom in shares of it."""
    (left, top), _, (right, bottom), _ = area.outline
    width, height = right - left, bottom - top
    first, last = left + window[0] * width, left + window[2] * width
    upper, lower = top + window[1] * height, top + window[3] * height
    return Region(outline=((first, upper), (last, upper), (last, lower), (first, lower)))
