"""Pictures of films for the page: rendered in a process of its own, which a film may end without harm."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from cxr_node.archive.integrity import ArchivedObject, read_intact
from cxr_node.archive.store import Archive
from cxr_node.domain.hanging import hang
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureContext:
    """Archive, decoding limits and sandbox."""

    archive: Archive
    limits: Limits
    sandbox: Sandbox | None = None


def render(context: PictureContext, film: ArchivedObject) -> dict[str, bytes]:
    """Return the PNG of each kind of picture of a film as it hangs, without metadata.

    Raises
    ------
    GiveUp
        If the film cannot be rendered.
    """
    content = read_intact(context.archive, film)
    radiograph = pixels.radiograph(
        parse(content, limits=context.limits), limits=context.limits, sandbox=context.sandbox
    )
    return {name: display.png(hang(radiograph), longest_side=side) for name, side in LONGEST_SIDE.items()}


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
