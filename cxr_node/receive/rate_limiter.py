"""How many films a peer may send in a minute."""

import threading
import time
from collections.abc import Callable

from cxr_node.receive.admission import Peer

_MINUTE_S = 60.0


class TokenBucket:
    """A bucket that holds a minute's films and fills steadily: a burst may come, and then no more than the rate.

    PS3.4 knows no status for it. Out of Resources tells the sender to try again later.
    """

    def __init__(self, films_per_minute: int, *, now: float) -> None:
        self._capacity = float(films_per_minute)
        self._left = self._capacity
        self._since = now

    def admits(self, *, now: float) -> bool:
        """Whether another film may come at `now`, in seconds of a clock that never goes back; if so it counts."""
        filled = self._left + (now - self._since) * self._capacity / _MINUTE_S
        self._left, self._since = min(self._capacity, filled), now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class RateLimiter:
    """The pace of each peer that has one. Asked by many threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._of: dict[Peer, TokenBucket] = {}

    def admits(self, peer: Peer) -> bool:
        """Whether `peer` may send another film now."""
        if not peer.films_per_minute:
            return True
        with self._lock:
            now = self._clock()
            return self._of.setdefault(peer, TokenBucket(peer.films_per_minute, now=now)).admits(now=now)
