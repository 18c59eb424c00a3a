"""Circuit breaker per destination: opens when it does not answer; one delivery at a time probes it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

_FIRST_S = 5.0
_LONGEST_S = 60.0
"""One probe a minute is no load for a peer, and deliveries resume soon after it is reachable again."""


@dataclass(slots=True)
class _OpenBreaker:
    failures: int
    until: datetime
    is_probing: bool = False


class CircuitBreakers:
    """Breakers of all destinations. Thread-safe; the state ends with the process."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, _OpenBreaker] = {}

    def enter(self, destination: str) -> bool:
        """Whether a delivery may be tried now: with an open breaker one probe at a time, after its wait."""
        with self._lock:
            breaker = self._open.get(destination)
            if breaker is None:
                return True
            if breaker.is_probing or self._clock() < breaker.until:
                return False
            breaker.is_probing = True
            return True

    def failed(self, destination: str, *, at_least_s: float = 0.0) -> datetime:
        """Open the breaker, as there was no answer; return when the next probe is due, after `at_least_s`."""
        with self._lock:
            failures = self._open[destination].failures + 1 if destination in self._open else 1
            wait_s = max(at_least_s, min(_LONGEST_S, _FIRST_S * 2.0 ** min(failures - 1, 10)))
            until = self._clock() + timedelta(seconds=wait_s)
            self._open[destination] = _OpenBreaker(failures, until)
            return until

    def succeeded(self, destination: str) -> bool:
        """Close the breaker, as the destination answered; return whether it was open."""
        with self._lock:
            return self._open.pop(destination, None) is not None

    def unsure(self, destination: str) -> None:
        """Note that a delivery ended without evidence of a connection: the next probe is allowed."""
        with self._lock:
            if destination in self._open:
                self._open[destination].is_probing = False

    def held(self) -> tuple[frozenset[str], datetime | None]:
        """Return destinations without deliveries for now, and when the first probe is due."""
        with self._lock:
            now = self._clock()
            waiting = {name: breaker.until for name, breaker in self._open.items() if now < breaker.until}
            probing = {name for name, breaker in self._open.items() if breaker.is_probing}
        return frozenset(waiting.keys() | probing), min(waiting.values(), default=None)
