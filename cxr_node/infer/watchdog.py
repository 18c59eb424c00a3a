"""The end of a process whose network hangs."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """End this process, with status 1, if the block takes longer.

    At once and from a thread outside of Python's, so that neither a driver that never answers nor code that never
    lets go of the interpreter can prevent it. Where every thread stood, by file and line, goes to standard error.
    One block at a time in a process.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
