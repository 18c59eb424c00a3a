"""The child of `eyes`: does for films what it is told, in a process of its own, until the other side is gone.

Started as `python -m cxr_node.sight DESCRIPTOR`, a socket on which come first a function that returns the desk to
work at, and then functions to call with it. Only this program's own values travel on it; what films hold, and what
decoders make of them, is met here and in the sandbox behind, and comes back as readings and arrays.
"""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import StrEnum
from multiprocessing.connection import Connection

from cxr_node.domain.errors import GiveUp, RetryLater, place_of
from cxr_node.reading.preprocess import ReadContext

OpensContext = Callable[[], AbstractContextManager[ReadContext]]
_NICE = 5
Note = tuple[str, int, str]
"""Something to be logged: the logger's name, the level, and the message."""


class Answer(StrEnum):
    """How a call ended."""

    DONE = "done"
    GAVE_UP = "gave up"
    LATER = "later"
    FAULT = "fault"


class _Notes(logging.Handler):
    """Keeps what the node's own loggers say, for the process that logs; others' may quote a film and are dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Note] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("cxr_node"):
            self.kept.append((record.name, record.levelno, record.getMessage()))

    def taken(self) -> list[Note]:
        kept, self.kept = self.kept, []
        return kept


def serve(line: Connection, notes: _Notes) -> None:
    """Open the desk, say so, and answer calls until the line ends."""
    opens_desk: OpensContext = line.recv()
    with opens_desk() as desk:
        line.send((Answer.DONE, None, notes.taken()))
        for call, arguments in _calls(line):
            line.send((*_answer(call, desk, arguments), notes.taken()))


def _calls(line: Connection) -> Iterator[tuple[Callable[..., object], tuple[object, ...]]]:
    try:
        while True:
            yield line.recv()
    except (EOFError, ConnectionError):
        return


def _answer(call: Callable[..., object], desk: ReadContext, arguments: tuple[object, ...]) -> tuple[Answer, object]:
    try:
        return Answer.DONE, call(desk, *arguments)
    except GiveUp as error:
        return Answer.GAVE_UP, (error.reason, error.detail)
    except RetryLater as error:
        return Answer.LATER, str(error)
    except Exception as error:  # noqa: BLE001  # the edge: the other side must be told, by type and place alone
        return Answer.FAULT, place_of(error)


def main(descriptor: int) -> None:
    """Serve the process that started this one."""
    # What libraries print may quote the film.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    # Whoever started it ends it, also where the whole process group is told to stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # The network and whoever answers modalities go first.
    os.nice(_NICE)
    notes = _Notes()
    logging.basicConfig(level=logging.INFO, handlers=[notes])
    with Connection(descriptor) as line:
        serve(line, notes)
