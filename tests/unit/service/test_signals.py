"""Signals: one stop, however many arrive; a reload at each."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from cxr_node.service import signals

SIGNAL = signal.SIGUSR1


@pytest.fixture(autouse=True)
def _restore_handler() -> Iterator[None]:
    before = signal.getsignal(SIGNAL)
    yield
    signal.signal(SIGNAL, before)


def test_signals_during_the_stop_action_neither_wait_nor_repeat_it() -> None:
    lock, begun, resume, stopped = threading.Lock(), threading.Event(), threading.Event(), threading.Event()
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        with lock:
            begun.set()
            resume.wait(60)
        stopped.set()

    signals.on_first([SIGNAL], stop)
    os.kill(os.getpid(), SIGNAL)
    assert begun.wait(60)
    for _ in range(1000):
        os.kill(os.getpid(), SIGNAL)
    resume.set()
    assert stopped.wait(60)
    assert calls == 1


def test_each_signal_is_an_action() -> None:
    called = threading.Semaphore(0)

    signals.on_each(SIGNAL, called.release)
    for _ in range(2):
        os.kill(os.getpid(), SIGNAL)
        assert called.acquire(timeout=60)
