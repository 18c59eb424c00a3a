"""Signal handling of a process."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from cxr_node.service import signals

TOLD = signal.SIGUSR1


@pytest.fixture(autouse=True)
def handler_put_back() -> Iterator[None]:
    before = signal.getsignal(TOLD)
    yield
    signal.signal(TOLD, before)


def test_signal_during_the_first_one_does_not_deadlock() -> None:
    lock, begun, again, stopped = threading.Lock(), threading.Event(), threading.Event(), threading.Event()
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        with lock:
            begun.set()
            again.wait(60)
        stopped.set()

    signals.on_first([TOLD], stop)
    os.kill(os.getpid(), TOLD)
    assert begun.wait(60)
    for _ in range(1000):
        os.kill(os.getpid(), TOLD)
    again.set()
    assert stopped.wait(60)
    assert calls == 1
