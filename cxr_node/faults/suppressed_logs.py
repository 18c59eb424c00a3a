"""Logs of nodes and errors of library threads in a process of the fault suite, which does not show them."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pynetdicom.fsm import InvalidEventError


@contextmanager
def suppressed_logs() -> Iterator[None]:
    """Suppress logs of nodes in this process, and errors of pynetdicom's threads at the end of an association."""
    log = logging.getLogger("cxr_node")
    level, hook = log.level, threading.excepthook

    def excepthook(arguments: threading.ExceptHookArgs, /) -> None:
        if not isinstance(arguments.exc_value, InvalidEventError):
            hook(arguments)

    log.setLevel(logging.CRITICAL + 1)
    threading.excepthook = excepthook
    try:
        yield
    finally:
        log.setLevel(level)
        threading.excepthook = hook
