"""Folded stacks of this process, the input of flame graphs: processor time by stack of Python functions.

A timer of processor time interrupts the main thread each millisecond. Each thread's stack gets what that thread has
used since the last time, so that a long call of a library counts in full although only its end is seen.
"""

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_INTERVAL_S = 0.001
_OWN = "benchmarks.profiling"


def block_in_threads() -> None:
    """Let threads that start from now on leave the timer's signal to the main thread, which waits for them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF])


class Sampler:
    """Microseconds of processor time by stack, outermost function first."""

    def __init__(self) -> None:
        self.microseconds: Counter[str] = Counter()
        self._used: dict[int, float] = {}

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Sample while the block lasts."""
        self._used = dict(self._by_thread())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
        previous = signal.signal(signal.SIGPROF, self._on_signal)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL_S, _INTERVAL_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, previous)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF])

    def lines(self) -> Iterator[str]:
        """Yield a line for each stack: functions separated by semicolons, and microseconds."""
        for stack, number in sorted(self.microseconds.items()):
            yield f"{stack} {number}"

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        frames = sys._current_frames()  # noqa: SLF001  # the documented way to the stacks of other threads
        frames[threading.get_ident()] = frame or frames[threading.get_ident()]
        for number, used in self._by_thread():
            spent = used - self._used.get(number, 0.0)
            self._used[number] = used
            if number in frames and spent > 0:
                self.microseconds[folded(frames[number])] += round(spent * 1e6)

    @staticmethod
    def _by_thread() -> Iterator[tuple[int, float]]:
        for thread in threading.enumerate():
            if thread.ident is not None:
                with suppress(OSError):  # it has ended
                    yield thread.ident, time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def folded(frame: FrameType | None) -> str:
    """Return a stack in one line, without this benchmark's own functions."""
    functions = []
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(_OWN) and module not in ("contextlib", "__main__"):
            functions.append(f"{module}:{frame.f_code.co_qualname}")
        frame = frame.f_back
    return ";".join(reversed(functions)) or "outside"
