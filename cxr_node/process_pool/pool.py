"""Process pool: worker processes with limits of memory and time, one call at a time in each.

The death of a worker affects the film in it and no other: the worker restarts for its next call.
"""

import logging
import queue
import socket
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from typing import Generic, Self, cast

from cxr_node import child_process
from cxr_node.domain.errors import GiveUp, PlacedFault, ProcessDied, RetryLater
from cxr_node.process_pool.executor import Context, Item, Result
from cxr_node.process_pool.worker import Status

_log = logging.getLogger(__name__)

_START_S = 600.0
"""Upper bound for a busy machine. A process that ends is noticed at once."""


class WorkerFault(PlacedFault):
    """Unexpected exception in a worker process: a fault of the node."""


class ProcessPool(Generic[Context]):
    """Executor in `count` worker processes. Close it, or use `with`.

    Parameters
    ----------
    open_context
        Opens the context in each process. Pickled, so a module's function or a partial of one.
    timeout_s
        Longest duration of one call; then its process is killed.
    memory_bytes
        Address space of each process (RLIMIT_AS).
    """

    def __init__(
        self,
        count: int,
        open_context: Callable[[], AbstractContextManager[Context]],
        *,
        timeout_s: float,
        memory_bytes: int,
    ) -> None:
        self._workers = [_PoolWorker(open_context, timeout_s, memory_bytes) for _ in range(count)]
        # Last in, first out: the caches of the worker that ran last are warm.
        self._free: queue.LifoQueue[_PoolWorker] = queue.LifoQueue()
        for worker in self._workers:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="process-pool")

    def start(self) -> None:
        """Start every process; otherwise each starts at its first call."""
        for worker in self._workers:
            worker.start()

    def await_ready(self) -> None:
        """Wait until every started process has opened its context; otherwise its first call waits."""
        for worker in self._workers:
            worker.await_ready()

    def map(self, call: Callable[[Context, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return `call(context, item)` for each item, in order, run in free processes; wait for these.

        Raises
        ------
        GiveUp, RetryLater
            As `call` does; ProcessDied if a process died, or was ended at a limit of memory or time.
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

    def __init__(
        self, open_context: Callable[[], AbstractContextManager[object]], timeout_s: float, memory_bytes: int
    ) -> None:
        self._open_context = open_context
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._is_ready = False

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = child_process.start(
                "cxr_node.process_pool",
                theirs.fileno(),
                self._memory_bytes,
                environment={
                    **child_process.MALLOC_ENVIRONMENT,
                    **child_process.environment_without_secrets(),
                    "OPENBLAS_NUM_THREADS": "1",
                },
                stderr=None,
                pass_fds=(theirs.fileno(),),
            )
        self._connection = Connection(ours.detach())
        self._connection.send(self._open_context)

    def await_ready(self) -> None:
        if not self._is_ready:
            self._receive(_START_S)
            self._is_ready = True

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
        connection, self._connection, self._is_ready = self._connection, None, False
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
            case Status.OUT_OF_MEMORY:
                raise self._died(f"needed more than {self._memory_bytes >> 20} MiB of memory")
            case _:
                raise WorkerFault(*value)

    def _died(self, detail: str = "") -> ProcessDied:
        process = self._process
        if process is not None and not detail:
            detail = f"ended with status {child_process.end(process)}"
        self.end()
        _log.warning("a worker process %s; the next call starts another", detail)
        return ProcessDied(f"the worker process {detail}")
