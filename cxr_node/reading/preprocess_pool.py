"""Processes that look at films beside the network, each at one at a time.

What goes wrong in one touches the film in it and no other: it is ended, and the next call starts it again.
"""

import logging
import os
import queue
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar, cast

from cxr_node.domain.errors import GiveUp, RetryLater
from cxr_node.reading.pool_worker import Answer, OpensContext
from cxr_node.reading.preprocess import ReadContext

_log = logging.getLogger(__name__)

Given = ParamSpec("Given")
Made = TypeVar("Made")

_START_S = 120.0
_KEEPING_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 27)}
"""For the C library: films are taken from memory that it has, up to 128 MiB of it free, and not from new pages.

Each new page is one that the system clears and maps when it is first written to, a third of what a film of 15 MB cost.
"""


class WorkerDied(RetryLater):
    """The process that looked at a film ended, or did not answer in time and was ended."""


class WorkerFault(Exception):
    """A fault of ours, in the process that looked at a film."""


class PreprocessPool:
    """`count` processes, all of them up when this is made. Close it, or use it in `with`.

    Parameters
    ----------
    opens_desk
        Opens what films are looked at with, in each process; travels there, so a function of a module or a partial.
    timeout_s
        How long one call may take before its process is ended.
    """

    def __init__(self, count: int, opens_desk: OpensContext, *, timeout_s: float) -> None:
        self.count = count
        self._all = [_PoolWorker(opens_desk, timeout_s) for _ in range(count)]
        # The one that was at work last is the warmest.
        self._free: queue.LifoQueue[_PoolWorker] = queue.LifoQueue()
        try:
            for each in self._all:
                each.start()
            for each in self._all:
                each.await_ready()
                self._free.put(each)
        except BaseException:
            self.close()
            raise

    def call(
        self, call: Callable[Concatenate[ReadContext, Given], Made], *arguments: Given.args, **_: Given.kwargs
    ) -> Made:
        """Return what `call` makes of a desk and `arguments`, in a process that is free; wait for one.

        Raises
        ------
        GiveUp, RetryLater
            As `call` does; EyeDied if the process died or took too long.
        EyeFault
            If anything else was raised there.
        """
        eye = self._free.get()
        try:
            return cast("Made", eye.ask(call, arguments))
        finally:
            self._free.put(eye)

    def close(self) -> None:
        """End every process."""
        for each in self._all:
            each.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _PoolWorker:
    """One process, started again after each of its deaths."""

    def __init__(self, opens_desk: OpensContext, timeout_s: float) -> None:
        self._opens_desk = opens_desk
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [sys.executable, "-m", "cxr_node.sight", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={
                    **_KEEPING_MEMORY,
                    **os.environ,
                    "OPENBLAS_NUM_THREADS": "1",
                    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                },
            )
        self._line = Connection(ours.detach())
        self._line.send(self._opens_desk)

    def await_ready(self) -> None:
        self._heard(_START_S)

    def ask(self, call: Callable[..., object], arguments: tuple[object, ...]) -> object:
        if self._line is None:
            self.start()
            self.await_ready()
        try:
            if self._line is not None:
                self._line.send((call, arguments))
        except OSError as error:
            raise self._died() from error
        return self._heard(self._timeout_s)

    def end(self) -> None:
        process, self._process = self._process, None
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if process is not None:
            process.kill()
            process.wait()

    def _heard(self, timeout_s: float) -> object:
        line = self._line
        try:
            if line is None or not line.poll(timeout_s):
                raise self._died(f"took longer than {timeout_s:g} s")
            kind, value, notes = line.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        for name, level, message in notes:
            logging.getLogger(name).log(level, "%s", message)
        match kind:
            case Answer.DONE:
                return value
            case Answer.GAVE_UP:
                raise GiveUp(*value)
            case Answer.LATER:
                raise RetryLater(value)
            case _:
                raise WorkerFault(value)

    def _died(self, why: str = "") -> WorkerDied:
        process = self._process
        if process is not None and not why:
            process.kill()
            why = f"ended with status {process.wait()}"
        self.end()
        _log.warning("a process that looks at films %s; the next film starts another", why)
        return WorkerDied(f"the process that looked at the film {why}")
