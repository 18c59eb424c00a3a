"""Decodes structure logits of one film into outlines of the anatomy. Pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import cast

import contourpy
import numpy as np
import numpy.typing as npt

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.geometry import fill_band, polygon_area
from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import Region, Structure
from cxr_node.infer import polyline
from cxr_node.infer.polyline import Line

TOLERANCE = 0.1
"""Largest distance, in cells, of a simplified outline from the original. Round outlines shrink by half of it."""

MIN_PART_AREA = 1 / 4000
"""Parts smaller than this share of the map are dropped as noise."""

IN_ONE_PIECE = frozenset(
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
"""Structures in one piece without holes: only the largest part is kept, and filled."""

_RIVALS = ((Anatomy.RIGHT_LUNG, Anatomy.LEFT_LUNG), (Anatomy.LEFT_LUNG, Anatomy.RIGHT_LUNG))
_DIGITS = 2
"""Decimals of film coordinates: a hundredth of a pixel, far finer than a network resolves."""

_Float64 = npt.NDArray[np.float64]


def structures(keys: Sequence[Anatomy], logits: Float32, area: Region) -> tuple[Structure, ...]:
    """Return the outlines of each structure.

    The outline runs where the logits, interpolated between the centers of cells, cross 0, and along the edge of the
    map where the structure continues beyond it. A cell claimed by both lungs belongs to the one with the larger logit.

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
    # Above 0 where the logit is positive and the larger; continuous, so that the border between the two is smooth.
    fields = dict(grids)
    for one, other in _RIVALS:
        if one in grids and other in grids:
            fields[one] = np.minimum(grids[one], grids[one] - grids[other])
    parts = {
        key: _relevant_parts(key, field, outlines)
        for (key, field), outlines in zip(fields.items(), _parts(list(fields.values())), strict=True)
    }
    lines = [line for parts_of_one in parts.values() for part in parts_of_one for line in part]
    regions = iter(_regions(polyline.simplify_loops(lines, TOLERANCE), logits.shape[1:], area))
    return tuple(
        Structure(
            key=key,
            confidence=_confidence(parts[key], fields[key], grids[key]),
            regions=tuple(next(regions) for part in parts[key] for _ in part),
        )
        for key in keys
    )


def _relevant_parts(key: Anatomy, field: _Float64, parts: list[list[Line]]) -> list[list[Line]]:
    """Return the parts that are large enough; of a structure in one piece the largest, without holes."""
    areas = [polygon_area(part[0]) for part in parts]
    large = [number for number, part_area in enumerate(areas) if part_area >= MIN_PART_AREA * field.size]
    if key in IN_ONE_PIECE and large:
        return [parts[max(large, key=areas.__getitem__)][:1]]
    return [parts[number] for number in large]


def _confidence(parts: list[list[Line]], field: _Float64, logits: _Float64) -> float:
    if not parts:
        return 0.0
    within = np.zeros(field.shape, np.bool_)
    for part in parts:
        top, band = fill_band([part[0] + 0.5], field.shape)
        within[top : top + len(band)] |= band
    within &= field > 0
    return _mean_score(logits[within])


def _parts(fields: Sequence[_Float64]) -> Iterator[list[list[Line]]]:
    """Yield the parts of each field above 0, each with outer outline and then holes, as (column, row) of cell centers.

    The fields have one shape.
    """
    if not fields:
        return
    rows, columns = fields[0].shape
    # A frame of the opposite sign puts the outline of a part that touches the edge on the edge, half a cell outside
    # the outermost centers.
    framed = np.pad(np.stack(fields), ((0, 0), (1, 1), (1, 1)), mode="edge")
    for edge in (framed[:, 0], framed[:, -1], framed[:, :, 0], framed[:, :, -1]):
        np.negative(np.abs(edge), out=edge)
    across, down = np.meshgrid(np.arange(columns + 2, dtype=np.float64), np.arange(rows + 2, dtype=np.float64))
    for field in framed:
        # As `contourpy.contour_generator` makes it of finite values, without looking for masked ones each time.
        generator = contourpy.SerialContourGenerator(
            across,
            down,
            field,
            None,  # type: ignore[arg-type]  # no masked cells
            corner_mask=True,
            line_type=contourpy.LineType.Separate,
            fill_type=contourpy.FillType.OuterOffset,
            quad_as_tri=False,
            z_interp=contourpy.ZInterp.Linear,
        )
        # The return type depends on the fill type, which the annotations do not express.
        points, offsets = cast("tuple[list[Line], list[npt.NDArray[np.uint32]]]", generator.filled(0.0, np.inf))
        yield [
            [part[first : last - 1] - 1 for first, last in pairwise(starts)]
            for part, starts in zip(points, offsets, strict=True)
        ]


def _mean_score(logits: _Float64) -> float:
    """Return the mean sigmoid of logits above 0, at least a half."""
    return float(np.mean(1 / (1 + np.exp(-logits)))) if len(logits) else 0.5


def _regions(lines: Sequence[Line], shape: tuple[int, ...], area: Region) -> list[Region]:
    """Return outlines in film coordinates."""
    if not lines:
        return []
    (left, top), _, (right, bottom), _ = area.outline
    corners = np.concatenate(lines) + 0.5
    across = np.round(left + corners[:, 0] * (right - left) / shape[1], _DIGITS)
    down = np.round(top + corners[:, 1] * (bottom - top) / shape[0], _DIGITS)
    points = list(zip(across.tolist(), down.tolist(), strict=True))
    ends = np.cumsum([len(line) for line in lines]).tolist()
    return [Region(outline=tuple(points[end - len(line) : end])) for line, end in zip(lines, ends, strict=True)]


def window_of(area: Region, window: Sequence[float]) -> Region:
    """Return the rectangle `window` of `area`: left, top, right and bottom as shares of it."""
    (left, top), _, (right, bottom), _ = area.outline
    width, height = right - left, bottom - top
    first, last = left + window[0] * width, left + window[2] * width
    upper, lower = top + window[1] * height, top + window[3] * height
    return Region(outline=((first, upper), (last, upper), (last, lower), (first, lower)))
