"""The stage that reads, wired from settings: the gate, the reader, what looks at films beside it, its deadline."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_node.db.database import Database
from cxr_node.pipeline import Reads
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.reading.pooled_reader import PooledReader
from cxr_node.reading.preprocess import ReadContext
from cxr_node.reading.preprocess_pool import PreprocessPool
from cxr_node.settings.root import Settings
from cxr_node.wiring import engine, preprocessing, process
from cxr_node.wiring.models import Models
from cxr_node.wiring.preprocessing import film_limits, read_rules
from cxr_node.work.handlers.read import Deadline, InTurn, ReadHandler, ReadsFilms, StudyWindow
from cxr_node.work.worker import Batching

if TYPE_CHECKING:
    from cxr_node.infer.reader import Reader

_MOST = 8
"""Processes that look at films, where no number is stated: each holds some 150 MB."""


def reader(settings: Settings, folder: Path | None = None) -> "Reader":
    """Return what reads films with the bundle in `folder` or that of the settings, ready to.

    Raises
    ------
    BundleError
        If the bundle cannot be used.
    """
    # Only a process that reads imports torch.
    import torch

    from cxr_node.infer import bundle, bundle_registry
    from cxr_node.infer.reader import CPU, Precision, Reader, choose_device

    section = settings.read
    if section.threads:
        torch.set_num_threads(section.threads)
    model = bundle.load(folder or bundle_registry.find(str(section.bundle), process.bundles_folder(settings)))
    if choose_device(section.device) == CPU:
        opened = Reader(model, device="cpu", engine=engine.engine(settings, model))
    else:
        precision = Precision(section.precision)
        opened = Reader(model, device=section.device, batch_size=section.batch_size, precision=precision)
    opened.warm_up()
    return opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A stage that reads, and how: how many workers take turns at it side by side, and how many films each takes.

    `look` is to be called between films.
    """

    stage: ReadHandler
    workers: int
    together: Batching
    look: Callable[[], None]


@contextmanager
def at_reading(settings: Settings, opened: Database) -> Iterator[Reading]:
    """Make what reads films, ready to, while the block lasts.

    With processes beside the network a film more is in hand than there are of these. Where a single death of the
    reader sets a film aside, no film is to be in hand beside another.
    """
    models = Models(settings, opened, opens=partial(reader, settings))
    processes, size = _processes(settings), models.current.batch_size
    together = Batching(size=size, wait_s=settings.read.batch_wait_s)
    if not processes:
        with Sandbox(film_limits(settings)) as sandbox:
            stage = read_stage(settings, opened, sandbox, models)
            yield Reading(stage=stage, workers=1, together=together, look=models.look)
        return
    deadline = _deadline(settings)
    with PreprocessPool(processes, partial(preprocessing.desk, settings), timeout_s=deadline.timeout_s) as eyes:
        stage = _handler(settings, opened, PooledReader(lambda: models.current, eyes, watch=deadline.watched))
        yield Reading(stage=stage, workers=2 if size > 1 else processes + 1, together=together, look=models.look)


def read_stage(settings: Settings, opened: Database, sandbox: Sandbox, reads: Reads) -> ReadHandler:
    """Return the stage that reads films with `reads`, one after the other."""
    desk = ReadContext(archive=process.archive(settings), rules=read_rules(settings), sandbox=sandbox)
    return _handler(settings, opened, InTurn(desk=desk, reader=reads, deadline=_deadline(settings)))


def _handler(settings: Settings, opened: Database, reads: ReadsFilms) -> ReadHandler:
    return ReadHandler(database=opened, reads=reads, quiet=quiet(settings), crash_limit=settings.read.crash_limit)


def _deadline(settings: Settings) -> Deadline:
    from cxr_node.infer.watchdog import at_most

    # After its lease a film is another reader's, and this one had better be gone.
    return Deadline(timeout_s=min(settings.read.timeout_s, settings.read.lease_s), watch=at_most)


def _processes(settings: Settings) -> int:
    """Return how many processes look at films; none where a single death of the reader sets a film aside."""
    if settings.read.crash_limit == 1:
        return 0
    stated = settings.read.processes
    if stated != "auto":
        return stated
    readers = max(1, len(settings.read.devices))
    return min(max(1, len(os.sched_getaffinity(0)) // readers), _MOST)


def quiet(settings: Settings) -> StudyWindow:
    """Return when a study is taken to be whole."""
    return StudyWindow(quiet_s=settings.compose.study_quiet_s, max_wait_s=settings.compose.study_max_wait_s)
