"""Preprocessing pool: worker processes beside the network, one film at a time in each.

A crash or timeout of a worker affects the film in it and no other: the worker restarts for its next film.
"""

import logging
import os
import queue
import socket
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Self, cast

from cxr_node import child_process
from cxr_node.domain.errors import GiveUp, PlacedFault, RetryLater
from cxr_node.reading.executor import Item, ReadContext, Result
from cxr_node.reading.pool_worker import OpenContext, Status

_log = logging.getLogger(__name__)

_START_S = 600.0
"""Upper bound for a busy machine. A process that ends is noticed at once."""
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 27)}
"""glibc malloc settings: films reuse heap memory, up to 128 MiB of it free, instead of fresh pages from mmap.

Page faults on fresh pages took a third of the time of a 15 MB film.
"""


class WorkerDied(RetryLater):
    """A worker process ended, or exceeded its timeout and was killed."""


class WorkerFault(PlacedFault):
    """Unexpected exception in a worker process: a fault of the node."""


class PreprocessPool:
    """Executor in `count` worker processes, all of them ready when the constructor returns. Close it, or use `with`.

    Parameters
    ----------
    open_context
        Opens the read context in each process. Pickled, so a module's function or a partial of one.
    timeout_s
        Longest duration of one call; then its process is killed.
    """

    def __init__(self, count: int, open_context: OpenContext, *, timeout_s: float) -> None:
        self._workers = [_PoolWorker(open_context, timeout_s) for _ in range(count)]
        # Last in, first out: the caches of the worker that ran last are warm.
        self._free: queue.LifoQueue[_PoolWorker] = queue.LifoQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="preprocess")
        try:
            for worker in self._workers:
                worker.start()
            for worker in self._workers:
                worker.await_ready()
                self._free.put(worker)
        except BaseException:
            self.close()
            raise

    def map(self, call: Callable[[ReadContext, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return `call(context, item)` for each item, in order, run in free processes; wait for these.

        Raises
        ------
        GiveUp, RetryLater
            As `call` does; WorkerDied if a process died or took too long.
        WorkerFault
            If anything else was raised there.
        """

        def run(item: Item) -> Result:
            worker = self._free.get()
            try:
                return cast("Result", worker.run(call, item))
            finally:
                self._free.put(worker)

        return [run(items[0])] if len(items) == 1 else list(self._threads.map(run, items))

    def close(self) -> None:
        """Kill every worker process."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _PoolWorker:
    """One worker process, restarted after each of its deaths."""

    def __init__(self, open_context: OpenContext, timeout_s: float) -> None:
        self._open_context = open_context
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = child_process.start(
                "cxr_node.reading",
                theirs.fileno(),
                environment={**_MALLOC, **os.environ, "OPENBLAS_NUM_THREADS": "1"},
                stderr=None,
                pass_fds=(theirs.fileno(),),
            )
        self._connection = Connection(ours.detach())
        self._connection.send(self._open_context)

    def await_ready(self) -> None:
        self._receive(_START_S)

    def run(self, call: Callable[..., object], item: object) -> object:
        if self._connection is None:
            self.start()
            self.await_ready()
        try:
            if self._connection is not None:
                self._connection.send((call, item))
        except OSError as error:
            raise self._died() from error
        return self._receive(self._timeout_s)

    def end(self) -> None:
        process, self._process = self._process, None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if process is not None:
            child_process.end(process)

    def _receive(self, timeout_s: float) -> object:
        connection = self._connection
        try:
            if connection is None or not connection.poll(timeout_s):
                raise self._died(f"took longer than {timeout_s:g} s")
            status, value, log_entries = connection.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        for name, level, message in log_entries:
            logging.getLogger(name).log(level, "%s", message)
        match status:
            case Status.DONE:
                return value
            case Status.GAVE_UP:
                raise GiveUp(*value)
            case Status.RETRY_LATER:
                raise RetryLater(value)
            case _:
                raise WorkerFault(*value)

    def _died(self, detail: str = "") -> WorkerDied:
        process = self._process
        if process is not None and not detail:
            detail = f"ended with status {child_process.end(process)}"
        self.end()
        _log.warning("a preprocessing worker %s; the next film starts another", detail)
        return WorkerDied(f"the preprocessing worker {detail}")
