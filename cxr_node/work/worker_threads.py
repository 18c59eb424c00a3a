"""Worker threads: one for each worker of a process, started and stopped together."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cxr_node.queue.notify import FifoNotifier
from cxr_node.work.worker import Worker

_NOTIFY_EVERY_S = 0.1
"""Interval of notifications to a worker that is to stop: each wakes one listener of its stage."""


@contextmanager
def run_workers(
    workers: Sequence[Worker], notifier: FifoNotifier, *, tick_s: float, stopping: threading.Event
) -> Iterator[Callable[[Sequence[Worker]], None]]:
    """Run each worker in a thread while the block lasts; on exit each finishes its claimed job.

    The value is a function that starts further workers, from one thread at a time.
    A thread that dies sets `stopping`, so that the supervisor restarts the whole process.
    """

    def run(worker: Worker) -> None:
        try:
            with notifier.listen(worker.stage) as listener:
                worker.run(listener, tick_s=tick_s, stopping=stopping.is_set)
        finally:
            stopping.set()
            worker.rest()

    threads: list[tuple[Worker, threading.Thread]] = []

    def start(further: Sequence[Worker]) -> None:
        for worker in further:
            thread = threading.Thread(target=run, args=(worker,), name=worker.stage, daemon=True)
            thread.start()
            threads.append((worker, thread))

    start(workers)
    try:
        yield start
    finally:
        stopping.set()
        for worker, thread in threads:
            while thread.is_alive():
                notifier.notify(worker.stage)
                thread.join(_NOTIFY_EVERY_S)
