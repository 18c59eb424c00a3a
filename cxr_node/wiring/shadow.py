"""Shadow mode from settings."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from cxr_node.domain.errors import RetryLater
from cxr_node.infer.remote.outcome import RemoteError
from cxr_node.infer.remote.reader import RemoteReader
from cxr_node.process_pool.executor import InProcess
from cxr_node.wiring import preprocessing
from cxr_node.wiring.periodic import run_jobs
from cxr_node.wiring.process import Process
from cxr_node.wiring.remote import remote_reader
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
    folder = bundle_registry.find(str(section.shadow), settings.node.bundles_folder)
    card = bundle.read_card(folder)
    reader: Reader | RemoteReader
    if card.network.file:
        precision = Precision(section.precision)
        reader = Reader(bundle.load(folder), device=section.device, batch_size=1, precision=precision)
    else:
        reader = remote_reader(settings, card)

    with preprocessing.read_context(process, is_for_results=False) as context:
        shadow = Shadow(
            database, executor=InProcess(context), network=reader, identity=reader.identity,
            clock=process.clock, watchdog=partial(exit_after, section.timeout_s),
        )  # fmt: skip
        try:
            run = partial(shadow.run, stopping=stopping)
            if isinstance(reader, RemoteReader):
                run = partial(_run_if_usable, reader, run)
            with run_jobs(process, "shadow", {"shadow": run}):
                yield
        finally:
            stopping.set()


def _run_if_usable(reader: RemoteReader, run: Callable[[], None]) -> None:
    """Run if the server passes its check: a film costs one of its two attempts only at a usable server."""
    try:
        reader.check()
    except RemoteError as error:
        raise RetryLater(str(error)) from error
    run()
