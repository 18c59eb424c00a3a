"""A breaker for each destination: one that is away is tried by one delivery at a time."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

_FIRST_S = 5.0
_LONGEST_S = 60.0
"""A probe a minute costs a peer nothing, and it is served soon after it is back."""


@dataclass(slots=True)
class _Open:
    failures: int
    until: datetime
    is_probed: bool = False


class CircuitBreakers:
    """Which destinations are away. Asked by many threads; forgotten with the process, which then finds out anew."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}

    def enter(self, destination: str) -> bool:
        """Whether a delivery may be tried now; of a destination that is away, one at a time and not too soon."""
        with self._lock:
            breaker = self._open.get(destination)
            if breaker is None:
                return True
            if breaker.is_probed or self._clock() < breaker.until:
                return False
            breaker.is_probed = True
            return True

    def failed(self, destination: str) -> datetime:
        """Note that no association came about; return when the next may be tried."""
        with self._lock:
            failures = self._open[destination].failures + 1 if destination in self._open else 1
            wait_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(failures - 1, 10))
            until = self._clock() + timedelta(seconds=wait_s)
            self._open[destination] = _Open(failures, until)
            return until

    def succeeded(self, destination: str) -> bool:
        """Note that an association came about; return whether the destination was away until now."""
        with self._lock:
            return self._open.pop(destination, None) is not None

    def unsure(self, destination: str) -> None:
        """Note that a delivery ended without showing whether an association comes about."""
        with self._lock:
            if destination in self._open:
                self._open[destination].is_probed = False

    def held(self) -> tuple[frozenset[str], datetime | None]:
        """Return the destinations that no delivery may be tried to now, and when the first of them may be probed."""
        with self._lock:
            now = self._clock()
            waiting = {name: breaker.until for name, breaker in self._open.items() if now < breaker.until}
            probed = {name for name, breaker in self._open.items() if breaker.is_probed}
        return frozenset(waiting.keys() | probed), min(waiting.values(), default=None)
