"""Outlines as masks of single bits, as a binary Segmentation holds them (PS3.5 section 8.1.1). Pure."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from cxr_node.domain.reading import Point

Mask = npt.NDArray[np.uint8]
"""Shape (rows, columns): 1 inside, 0 outside."""
_Float64 = npt.NDArray[np.float64]


def filled(outlines: Iterable[Sequence[Point]], rows: int, columns: int) -> Mask:
    """Return the pixels whose centers lie inside closed outlines, all together by the even-odd rule.

    What lies beyond the film is cut off.
    """
    mask = np.zeros((rows, columns), np.uint8)
    top, part = _filled_rows([np.asarray(outline, np.float64) for outline in outlines], rows, columns)
    mask[top : top + len(part)] = part
    return mask


def drawn(outlines: Iterable[Sequence[Point]], rows: int, columns: int) -> bytes:
    """Return `filled` packed, or nothing where no pixel is inside; the empty rows of a film are never made."""
    top, part = _filled_rows([np.asarray(outline, np.float64) for outline in outlines], rows, columns)
    if not part.any():
        return b""
    before = top * columns // 8
    return (b"\0" * before + packed(part)).ljust((rows * columns + 7) // 8, b"\0")


def _filled_rows(polygons: Sequence[_Float64], rows: int, columns: int) -> tuple[int, Mask]:
    """Return the first of the rows that the outlines lie in, a multiple of eight, and these rows' mask."""
    if not polygons:
        return 0, np.zeros((0, columns), np.uint8)
    # Only the box around them is filled, which is a small part of a film for most of the anatomy.
    points = np.concatenate(polygons)
    left, top = np.clip(np.floor(points.min(axis=0)), 0, (columns, rows)).astype(int)
    right, bottom = np.clip(np.ceil(points.max(axis=0)), 0, (columns, rows)).astype(int)
    top -= top % 8
    # A border turns what follows it in its row inside out: after all borders the running parity is the mask.
    borders = np.zeros((bottom - top, right - left + 1), np.uint8)
    for polygon in polygons:
        _turn(borders, polygon, np.roll(polygon, -1, axis=0), (int(left), int(top)))
    part = np.zeros((bottom - top, columns), np.uint8)
    part[:, left:right] = np.bitwise_xor.accumulate(borders, axis=1, out=borders)[:, :-1]
    return int(top), part


def _turn(borders: Mask, starts: _Float64, ends: _Float64, corner: tuple[int, int]) -> None:
    """Turn the parity where the edges from `starts` to `ends` cross the middles of rows; `corner` is (left, top)."""
    left, top = corner
    height, last_column = borders.shape[0], borders.shape[1] - 1
    tops, bottoms = np.minimum(starts[:, 1], ends[:, 1]), np.maximum(starts[:, 1], ends[:, 1])
    first = np.clip(np.ceil(tops - 0.5), top, top + height).astype(np.int64)
    beyond = np.clip(np.ceil(bottoms - 0.5), top, top + height).astype(np.int64)
    counts = beyond - first
    edges = np.repeat(np.arange(len(starts)), counts)
    rows = np.arange(len(edges)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edges]
    slopes = (ends[edges] - starts[edges])[:, 0] / (ends[edges] - starts[edges])[:, 1]
    at = starts[edges, 0] + (rows + 0.5 - starts[edges, 1]) * slopes
    columns = np.clip(np.ceil(at - 0.5) - left, 0, last_column).astype(np.int64)
    np.bitwise_xor.at(borders, (rows - top, columns), 1)


def packed(mask: Mask) -> bytes:
    """Return a mask eight pixels to a byte, the first in the lowest bit, the last byte filled up with zeros."""
    return np.packbits(mask, bitorder="little").tobytes()


def joined(frames: Sequence[bytes], pixels: int) -> bytes:
    """Return packed masks of `pixels` pixels one after another bit by bit, with an even number of bytes."""
    content = b"".join(frames if pixels % 8 == 0 else _shifted(frames, pixels))
    return content + b"\0" * (len(content) % 2)


def _shifted(frames: Sequence[bytes], pixels: int) -> Iterable[bytes]:
    """Yield the bytes of frames none of which ends with a byte; never more than one is unpacked."""
    left = np.zeros(0, np.uint8)
    for frame in frames:
        bits = np.unpackbits(np.frombuffer(frame, np.uint8), count=pixels, bitorder="little")
        bits = np.concatenate([left, bits])
        whole = len(bits) - len(bits) % 8
        yield packed(bits[:whole])
        left = bits[whole:]
    yield packed(left)
