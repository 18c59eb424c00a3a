"""Signals: stop and reload, each an action in a thread of its own."""

import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

_SIGNALS_AT_ONCE = 4096


def on_first(numbers: Iterable[signal.Signals], stop: Callable[[], None]) -> None:
    """Call `stop` in its own thread on the first of these signals; ignore further ones.

    A handler interrupts the main thread anywhere, also within an earlier call of the handler. Setting an Event that
    is being set would then deadlock on the Event's lock. Two signals at once are common: a signal to the process
    group, and that of the supervisor to its roles. So a handler only writes a byte to a pipe.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def wait() -> None:
        os.read(reader, 1)
        stop()

    threading.Thread(target=wait, name="stop signal", daemon=True).start()
    for number in numbers:
        signal.signal(number, _writer_of(writer))


def on_each(number: signal.Signals, call: Callable[[], None]) -> None:
    """Call `call` in its own thread at each signal of this number; several at once are one."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def wait() -> None:
        while os.read(reader, _SIGNALS_AT_ONCE):
            call()

    threading.Thread(target=wait, name="signal", daemon=True).start()
    signal.signal(number, _writer_of(writer))


def _writer_of(writer: int) -> Callable[..., None]:
    def write(*_: object) -> None:
        with suppress(BlockingIOError):  # the pipe is full of signals
            os.write(writer, b"\0")

    return write
