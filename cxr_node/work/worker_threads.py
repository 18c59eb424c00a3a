"""Worker threads: one for each worker of a process, started and stopped together."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cxr_node.queue.notify import FifoNotifier
from cxr_node.work.worker import Worker

_NOTIFY_EVERY_S = 0.1
"""Interval of notifications to a worker that is to stop: each wakes one listener of its stage."""


@contextmanager
def run_workers(
    workers: Sequence[Worker], notifier: FifoNotifier, *, tick_s: float, stopping: threading.Event
) -> Iterator[None]:
    """Run each worker in a thread while the block lasts; on exit each finishes its claimed job.

    A thread that dies sets `stopping`, so that the supervisor restarts the whole process.
    """

    def run(worker: Worker) -> None:
        try:
            with notifier.listen(worker.stage) as listener:
                worker.run(listener, tick_s=tick_s, stopping=stopping.is_set)
        finally:
            stopping.set()

    threads = [threading.Thread(target=run, args=(worker,), name=worker.stage, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for worker, thread in zip(workers, threads, strict=True):
            while thread.is_alive():
                notifier.notify(worker.stage)
                thread.join(_NOTIFY_EVERY_S)
