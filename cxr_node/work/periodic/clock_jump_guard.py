"""Clock jump guard: skips removals after the system clock was set, when the age of films may be wrong."""

import logging
import time
from collections.abc import Callable

from cxr_node.domain.clock import Clock

_log = logging.getLogger(__name__)

_JUMP_S = 3600.0


def _seconds_since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockJumpGuard:
    """Compares `clock` with the monotonic `counter`, both since construction."""

    def __init__(self, clock: Clock, *, counter: Callable[[], float] = _seconds_since_boot) -> None:
        self._clock = clock
        self._counter = counter
        self._clock_start, self._counter_start = clock(), counter()

    def run(self, action: Callable[[], object]) -> None:
        """Call `action`, unless the clock has jumped by an hour or more."""
        elapsed_s = (self._clock() - self._clock_start).total_seconds()
        jump_s = elapsed_s - (self._counter() - self._counter_start)
        if abs(jump_s) < _JUMP_S:
            action()
            return
        _log.error("the clock jumped by %.0f s: nothing is removed until the node is restarted", jump_s)
