"""Decodes named points and the embedding of one film. Pure."""

from collections.abc import Sequence

import numpy as np

from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import Embedding, Laterality, NamedPoint, Region
from cxr_node.infer.card import PointEntry

POINT_NUMBERS = 3
"""Numbers of a point: column, row, confidence."""

_DIGITS = 2
"""Decimals of film coordinates, as of outlines."""


def named_points(
    entries: Sequence[PointEntry], output: Float32, *, rows: int, columns: int, area: Region
) -> tuple[NamedPoint, ...]:
    """Return the points of the card with their places on the film.

    A point is visible from the least confidence of its entry up, if it lies within the input.

    Parameters
    ----------
    output
        Shape (points, 3): column and row in pixels of the network's input, whose upper left corner is (0, 0) and
        whose first pixel has its center at (0.5, 0.5), and a confidence from 0 to 1.
    rows, columns
        Size of the input.
    area
        The rectangle of the film that the input covers.

    Raises
    ------
    ValueError
        If a number is not finite, or a confidence is not from 0 to 1.
    """
    if not np.isfinite(output).all():
        raise ValueError("the network gave points that are not finite")
    (left, top), _, (right, bottom), _ = area.outline
    points = []
    for entry, (column, row, confidence) in zip(entries, output.astype(np.float64).tolist(), strict=True):
        if not 0.0 <= confidence <= 1.0:
            raise ValueError(f"the network gave the point {entry.key} the confidence {confidence:g}, not 0 to 1")
        is_within = 0.0 <= column <= columns and 0.0 <= row <= rows
        points.append(
            NamedPoint(
                key=entry.key,
                code=entry.code.code,
                at=(
                    round(left + column * (right - left) / columns, _DIGITS),
                    round(top + row * (bottom - top) / rows, _DIGITS),
                ),
                confidence=confidence,
                least_confidence=entry.least_confidence,
                is_visible=is_within and confidence >= entry.least_confidence,
                laterality=None if entry.laterality is None else Laterality(entry.laterality),
            )
        )
    return tuple(points)


def embedding(output: Float32) -> Embedding:
    """Return the vector of a film, shape (numbers).

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    if not np.isfinite(output).all():
        raise ValueError("the network gave an embedding that is not finite")
    return Embedding(vector=output.astype("<f4").tobytes())
