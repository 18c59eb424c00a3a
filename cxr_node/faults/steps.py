"""Checkpoints of a scratch process: counted by name and stage; a fault can be injected at each.

The node has no code for this: the checkpoints are in the wrappers that a scratch process gets in place of its disk,
database, destinations and model.
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
MAINTENANCE, START, ACCEPT = "maintenance", "start", "accept"


class Action(StrEnum):
    """Effect of a fault."""

    DIE = "kill -9"
    NO_SPACE = "no space left"
    QUOTA = "quota exceeded"
    INPUT_OUTPUT = "input/output error"
    READ_ONLY = "read-only file system"
    DATABASE_AWAY = "database unreachable"


_ERRNOS = {
    Action.NO_SPACE: errno.ENOSPC,
    Action.QUOTA: errno.EDQUOT,
    Action.INPUT_OUTPUT: errno.EIO,
    Action.READ_ONLY: errno.EROFS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An action at the `number`-th time that a checkpoint, as in "compose: before write", is reached."""

    step: str
    action: Action = Action.DIE
    number: int = 1


class Checkpoints:
    """Counts checkpoints. `announce` gets each name once, and `INJECTED` for each injected fault, in its thread."""

    def __init__(self, faults: Sequence[Fault] = (), *, announce: Callable[[str], None] = lambda _: None) -> None:
        self._faults = faults
        self._announce = announce
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def reach(self, checkpoint: str) -> None:
        """Count a checkpoint of this thread's stage; inject a fault if one is planned here."""
        name = f"{stage()}: {checkpoint}"
        with self._lock:
            self._counts[name] += 1
            count = self._counts[name]
            if count == 1:
                self._announce(name)
        for fault in self._faults:
            if fault.step == name and fault.number == count:
                self._inject(fault.action)

    def _inject(self, action: Action) -> None:
        if action is Action.DIE:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._lock:
            self._announce(INJECTED)
        if action is Action.DATABASE_AWAY:
            raise OperationalError("a statement", None, ConnectionError("by the fault suite"))
        number = _ERRNOS[action]
        raise OSError(number, os.strerror(number))


INJECTED = "!"
"""Announced after an injected fault that does not kill."""


def stage() -> str:
    """Return the stage of this thread, by its name."""
    thread = threading.current_thread()
    if thread.name in _STAGES:
        return thread.name
    if thread.name.startswith((MAINTENANCE, "ThreadPoolExecutor")):  # the latter is the scheduler's
        return MAINTENANCE
    return START if thread is threading.main_thread() else ACCEPT
