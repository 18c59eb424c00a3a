"""Bound of concurrent associations per peer, so that one that does not answer leaves senders to the others."""

import threading
from collections import Counter

PER_PEER = 2
"""Associations with one peer at a time. There are as many senders for each peer, so each can always have its own."""


class PeerSlots:
    """Associations in use by peer. Thread-safe."""

    def __init__(self, per_peer: int = PER_PEER) -> None:
        self._per_peer = per_peer
        self._lock = threading.Lock()
        self._used: Counter[str] = Counter()

    def enter(self, peer: str) -> bool:
        """Whether another association with `peer` may begin; if so it counts until `leave`."""
        with self._lock:
            if self._used[peer] >= self._per_peer:
                return False
            self._used[peer] += 1
            return True

    def leave(self, peer: str) -> None:
        """Note the end of an association."""
        with self._lock:
            self._used[peer] -= 1

    def full(self) -> frozenset[str]:
        """Return the peers with which no further association may begin."""
        with self._lock:
            return frozenset(peer for peer, used in self._used.items() if used >= self._per_peer)
