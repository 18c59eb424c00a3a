"""Watchdog: ends the process if the network hangs."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def exit_after(seconds: float) -> Iterator[None]:
    """End this process, with status 1, if the block takes longer.

    A C thread does it at once, so a driver that never returns or code that never releases the interpreter cannot
    prevent it. The stack of every thread goes to standard error. One block at a time in a process.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
