"""Every step that a stage takes, counted by name; one of them may be the last, or fail.

Nothing in the node knows this: steps are seen from outside, by what a scratch process is given in place of its
disk, its database, its destinations and its model (`rewired`).
"""

import errno
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.exc import OperationalError

from cxr_node.db.states import Stage

_STAGES = frozenset(Stage)
UPKEEP, START, ACCEPT = "upkeep", "start", "accept"


class Action(StrEnum):
    """What happens at a step."""

    DIE = "kill -9"
    NO_SPACE = "no space left"
    QUOTA = "quota exceeded"
    INPUT_OUTPUT = "input/output error"
    READ_ONLY = "read-only file system"
    DATABASE_AWAY = "database away"


_ERRNOS = {
    Action.NO_SPACE: errno.ENOSPC,
    Action.QUOTA: errno.EDQUOT,
    Action.INPUT_OUTPUT: errno.EIO,
    Action.READ_ONLY: errno.EROFS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An action at the `number`-th time that a step, named as in "compose: before write", is reached."""

    step: str
    action: Action = Action.DIE
    number: int = 1


class Steps:
    """Counts steps; `announce` hears each name once, and of each fault that struck, from the thread that took it."""

    def __init__(self, faults: Sequence[Fault] = (), *, announce: Callable[[str], None] = lambda _: None) -> None:
        self._faults = faults
        self._announce = announce
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def reach(self, what: str) -> None:
        """Note that this thread is at the step `what` of its stage; it may end here, or fail."""
        name = f"{stage()}: {what}"
        with self._lock:
            self._counts[name] += 1
            count = self._counts[name]
            if count == 1:
                self._announce(name)
        for fault in self._faults:
            if fault.step == name and fault.number == count:
                self._strike(fault.action)

    def _strike(self, action: Action) -> None:
        if action is Action.DIE:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._lock:
            self._announce(STRUCK)
        if action is Action.DATABASE_AWAY:
            raise OperationalError("a statement", None, ConnectionError("by the fault suite"))
        number = _ERRNOS[action]
        raise OSError(number, os.strerror(number))


STRUCK = "!"
"""What is announced when a fault that does not kill has struck."""


def stage() -> str:
    """Return the stage that this thread works for, by the thread's name."""
    thread = threading.current_thread()
    if thread.name in _STAGES:
        return thread.name
    if thread.name.startswith((UPKEEP, "ThreadPoolExecutor")):  # the latter is the schedule's
        return UPKEEP
    return START if thread is threading.main_thread() else ACCEPT
