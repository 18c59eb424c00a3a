"""What a process does when a signal tells it to stop."""

import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress


def on_first(numbers: Iterable[signal.Signals], stop: Callable[[], None]) -> None:
    """Call `stop` in a thread of its own at the first of these signals; further ones change nothing.

    A handler interrupts the main thread wherever that is, also within an earlier call of the same handler, and an
    Event that is being set must not be set there again: the second call would wait for the lock of the first for ever.
    Two signals at once are common, as where a whole process group is told, and the supervisor tells its roles too.
    So a handler only writes a byte.
    """
    hears, tells = os.pipe()
    os.set_blocking(tells, False)

    def write(*_: object) -> None:
        with suppress(BlockingIOError):  # told so often that it cannot be missed
            os.write(tells, b"\0")

    def wait() -> None:
        os.read(hears, 1)
        stop()

    threading.Thread(target=wait, name="told to stop", daemon=True).start()
    for number in numbers:
        signal.signal(number, write)
