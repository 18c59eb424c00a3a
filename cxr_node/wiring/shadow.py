"""Shadow mode, wired from settings."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cxr_node.db.database import Database
from cxr_node.settings.root import Settings
from cxr_node.wiring import preprocessing, process
from cxr_node.work.periodic.shadow import Shadow

_NICER = 10
_PATIENCE_S = 5.0


@contextmanager
def at_work(settings: Settings, opened: Database, *, stopping: threading.Event) -> Iterator[None]:
    """Read in the shadow while the block lasts, below every other process of the node; on one host at a time."""
    import torch

    from cxr_node.infer import bundle, bundle_registry
    from cxr_node.infer.reader import Precision, Reader
    from cxr_node.infer.watchdog import at_most

    os.nice(_NICER)
    torch.set_num_threads(1)
    section = settings.read
    model = bundle.load(bundle_registry.find(str(section.shadow), process.bundles_folder(settings)))
    reader = Reader(model, device=section.device, batch_size=1, precision=Precision(section.precision))

    def work() -> None:
        try:
            while not stopping.is_set():
                with opened.exclusive("shadow") as is_ours, preprocessing.desk(settings) as desk:
                    if is_ours:
                        made = Shadow(
                            opened, desk=desk, reader=reader, identity=reader.identity, clock=process.now,
                            watched=lambda: at_most(section.timeout_s),
                        )  # fmt: skip
                        made.run(tick_s=settings.schedule.tick_s, stopping=stopping)
                stopping.wait(settings.schedule.tick_s)
        finally:
            stopping.set()

    thread = threading.Thread(target=work, name="shadow", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(_PATIENCE_S)
