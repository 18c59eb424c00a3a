"""Stop signals: one action in its own thread."""

import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress


def on_first(numbers: Iterable[signal.Signals], stop: Callable[[], None]) -> None:
    """Call `stop` in its own thread on the first of these signals; ignore further ones.

    A handler interrupts the main thread anywhere, also within an earlier call of the handler. Setting an Event that
    is being set would then deadlock on the Event's lock. Two signals at once are common: a signal to the process
    group, and that of the supervisor to its roles. So a handler only writes a byte to a pipe.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def write(*_: object) -> None:
        with suppress(BlockingIOError):  # the pipe is full of signals
            os.write(writer, b"\0")

    def wait() -> None:
        os.read(reader, 1)
        stop()

    threading.Thread(target=wait, name="stop signal", daemon=True).start()
    for number in numbers:
        signal.signal(number, write)
