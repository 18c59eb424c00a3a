"""Pictures and frames of films for the page: made in a process of its own, which a film may end without harm."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from cxr_node.archive.integrity import ArchivedObject, read_intact
from cxr_node.archive.store import Archive
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.hanging import hang
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import display
from cxr_node.pixels import film as pixels
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.process_pool.executor import Executor
from cxr_node.process_pool.pool import ProcessPool
from cxr_node.settings.root import Settings
from cxr_node.wiring import preprocessing
from cxr_node.wiring.process import Process

_TIMEOUT_S = 60.0
LONGEST_SIDE = {"film": 1600, "thumbnail": 240}
"""Longest side of each kind of picture, in pixels."""
MAXIMUM_FRAME_PIXELS = 40_000_000
"""Twice the largest flat panels: a browser holds a frame in its memory, and in that of the graphics card."""
_GZIP = 16 + zlib.MAX_WBITS
_FASTEST = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureContext:
    """Archive, decoding limits and sandbox."""

    archive: Archive
    limits: Limits
    sandbox: Sandbox | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The P-values of a film as it hangs: 16 bits, little-endian, row by row, compressed with gzip (RFC 1952).

    `aspect_ratio` is the height of a pixel over its width.
    """

    rows: int
    columns: int
    aspect_ratio: float
    gzip_content: bytes


def render(context: PictureContext, film: ArchivedObject) -> dict[str, bytes]:
    """Return the PNG of each kind of picture of a film as it hangs, without metadata.

    Raises
    ------
    GiveUp
        If the film cannot be rendered.
    """
    radiograph = _hung(context, film)
    return {name: display.png(radiograph, longest_side=side) for name, side in LONGEST_SIDE.items()}


def frame(context: PictureContext, film: ArchivedObject) -> Frame:
    """Return the P-values of a film as it hangs, all of them.

    Raises
    ------
    GiveUp
        If the film cannot be decoded, or has more than `MAXIMUM_FRAME_PIXELS`.
    """
    radiograph = _hung(context, film)
    rows, columns = radiograph.p_values.shape
    if rows * columns > MAXIMUM_FRAME_PIXELS:
        raise GiveUp(Reason.TOO_LARGE, f"{columns} x {rows} pixels: too large for a browser")
    compressor = zlib.compressobj(_FASTEST, wbits=_GZIP)
    content = compressor.compress(radiograph.p_values.astype("<u2", copy=False).tobytes()) + compressor.flush()
    return Frame(rows=rows, columns=columns, aspect_ratio=radiograph.geometry.aspect_ratio, gzip_content=content)


def _hung(context: PictureContext, film: ArchivedObject) -> Radiograph:
    content = read_intact(context.archive, film)
    dataset = parse(content, limits=context.limits)
    return hang(pixels.radiograph(dataset, limits=context.limits, sandbox=context.sandbox))


@contextmanager
def open_picture_context(settings: Settings) -> Iterator[PictureContext]:
    """Open a picture context in a process of its own."""
    limits = preprocessing.film_limits(settings)
    with Process.open(settings) as process, Sandbox(limits) as sandbox:
        yield PictureContext(archive=process.archive, limits=limits, sandbox=sandbox)


@contextmanager
def picture_executor(settings: Settings) -> Iterator[Executor[PictureContext]]:
    """Open the executor of `render`, whose process starts with the first picture."""
    open_context = partial(open_picture_context, settings)
    with ProcessPool(1, open_context, timeout_s=_TIMEOUT_S, memory_bytes=settings.gate.memory_bytes) as pool:
        yield pool
