"""Segmented Palette Color Lookup Table Data (PS3.3 section C.7.9.2)."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

_HEAD = 2
_DEEPEST = 4
"""Indirect segments within indirect ones; a table that refers to itself is none."""


class Segment(IntEnum):
    """Segment type, the first value of a segment; the second is its length."""

    DISCRETE = 0
    LINEAR = 1
    INDIRECT = 2


def expand(values: Sequence[int], *, entry_bytes: int, limit: int) -> list[int]:
    """Return the entries of a table, at most `limit`.

    Parameters
    ----------
    values
        The encoded segments: words of 16 bits, or bytes, as `entry_bytes` is 2 or 1.

    Raises
    ------
    ValueError
        If a segment is unknown, incomplete or first where it needs an entry before it.
    """
    entries: list[int] = []
    _expand(values, 0, None, entries, entry_bytes=entry_bytes, limit=limit, depth=0)
    return entries[:limit]


def _expand(
    values: Sequence[int],
    offset: int,
    segments: int | None,
    entries: list[int],
    *,
    entry_bytes: int,
    limit: int,
    depth: int,
) -> None:
    """Append the entries of `segments` segments from `offset`, or of all: a value behind the last is padding."""
    while offset + 1 < len(values) and segments != 0 and len(entries) < limit:
        kind, length = values[offset], values[offset + 1]
        offset += _HEAD
        size = {Segment.DISCRETE: length, Segment.LINEAR: 1, Segment.INDIRECT: 4 // entry_bytes}.get(Segment(kind), 0)
        content = values[offset : offset + size]
        if len(content) < size or (kind != Segment.DISCRETE and not entries):
            raise ValueError("a segment is incomplete, or the first one is not discrete")
        offset += size
        match kind:
            case Segment.DISCRETE:
                entries += content
            case Segment.LINEAR if length:
                steps = np.arange(1, length + 1) / length
                entries += np.rint(entries[-1] + (content[0] - entries[-1]) * steps).astype(int).tolist()
            case Segment.INDIRECT:
                if depth == _DEEPEST:
                    raise ValueError("indirect segments refer to each other")
                start = sum(value << (8 * entry_bytes * place) for place, value in enumerate(content)) // entry_bytes
                _expand(values, start, length, entries, entry_bytes=entry_bytes, limit=limit, depth=depth + 1)
        segments = None if segments is None else segments - 1
