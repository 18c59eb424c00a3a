"""Pool worker process: runs functions for its parent until the socket closes.

Started as `python -m cxr_node.process_pool DESCRIPTOR BYTES`, a socket and the limit of its address space. The first
message is a function that opens the context; each further one is a function and its argument. Only values of this
program travel on it: film content is parsed here and in the sandbox, and leaves as readings, headers and arrays.
"""

import gc
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from enum import StrEnum
from multiprocessing.connection import Connection

from cxr_node.child_process import ignore_stop_signals, limit_address_space
from cxr_node.domain.errors import GiveUp, RetryLater, place_of, type_and_place
from cxr_node.process_pool.pydicom_import import import_pydicom

_NICE = 5
LogEntry = tuple[str, int, str]
"""A log record for the parent: logger name, level, message."""


class Status(StrEnum):
    """How a call ended."""

    DONE = "done"
    GAVE_UP = "gave up"
    RETRY_LATER = "retry later"
    FAULT = "fault"
    OUT_OF_MEMORY = "out of memory"


class _LogBuffer(logging.Handler):
    """Buffers records of the node's own loggers for the parent. Others may quote a film and are dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[LogEntry] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("cxr_node"):
            self._entries.append((record.name, record.levelno, record.getMessage()))

    def drain(self) -> list[LogEntry]:
        entries, self._entries = self._entries, []
        return entries


def serve(connection: Connection, log: _LogBuffer) -> None:
    """Open the context, report readiness, and run calls until the connection closes."""
    open_context: Callable[[], AbstractContextManager[object]] = connection.recv()
    with open_context() as context:
        # As in a role: a collection would otherwise look through the objects of all modules, about once a film.
        gc.collect()
        gc.freeze()
        connection.send((Status.DONE, None, log.drain()))
        with suppress(BrokenPipeError):  # the parent has ended
            for call, item in _calls(connection):
                connection.send((*_run(call, context, item), log.drain()))


def _calls(connection: Connection) -> Iterator[tuple[Callable[..., object], object]]:
    try:
        while True:
            yield connection.recv()
    except (EOFError, ConnectionError):
        return


def _run(call: Callable[..., object], context: object, item: object) -> tuple[Status, object]:
    try:
        return Status.DONE, call(context, item)
    except MemoryError:
        return Status.OUT_OF_MEMORY, None
    except GiveUp as error:
        return Status.GAVE_UP, (error.reason, error.detail)
    except RetryLater as error:
        return Status.RETRY_LATER, str(error)
    except Exception as error:  # noqa: BLE001  # the edge: only type and place go to the parent, a message may quote
        return Status.FAULT, (type_and_place(error), place_of(error))


def main(descriptor: int, memory_bytes: int) -> None:
    """Serve the parent process."""
    limit_address_space(memory_bytes)
    # Libraries may print film content.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    ignore_stop_signals()
    # Lower priority than the network and the receiver.
    os.nice(_NICE)
    import_pydicom()
    log = _LogBuffer()
    logging.basicConfig(level=logging.INFO, handlers=[log])
    with Connection(descriptor) as connection:
        serve(connection, log)
