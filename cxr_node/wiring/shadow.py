"""Shadow mode from settings."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from cxr_node.reading.executor import InProcess
from cxr_node.wiring import preprocessing
from cxr_node.wiring.periodic import run_jobs
from cxr_node.wiring.process import Process
from cxr_node.work.periodic.shadow import Shadow

_NICE = 10


@contextmanager
def run_shadow(process: Process, *, stopping: threading.Event) -> Iterator[None]:
    """Read in shadow mode while the block lasts, at lower priority than the node; on one host at a time."""
    import torch

    from cxr_node.infer import bundle, bundle_registry
    from cxr_node.infer.reader import Precision, Reader
    from cxr_node.infer.watchdog import exit_after

    os.nice(_NICE)
    torch.set_num_threads(1)
    settings, database = process.settings, process.database
    section = settings.read
    model = bundle.load(bundle_registry.find(str(section.shadow), settings.node.bundles_folder))
    reader = Reader(model, device=section.device, batch_size=1, precision=Precision(section.precision))

    with preprocessing.read_context(process) as context:
        shadow = Shadow(
            database, executor=InProcess(context), network=reader, identity=reader.identity,
            clock=process.clock, watchdog=partial(exit_after, section.timeout_s),
        )  # fmt: skip
        try:
            with run_jobs(process, "shadow", {"shadow": partial(shadow.run, stopping=stopping)}):
                yield
        finally:
            stopping.set()
