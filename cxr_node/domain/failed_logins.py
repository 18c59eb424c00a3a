"""Wrong passwords of the last minute, right ones that need not be computed again, and turns of addresses."""

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MINUTE_S = 60.0
_MOST_KEYS = 10_000
"""Keys are made of what strangers send; the oldest are forgotten."""


class FailedLogins:
    """Counts wrong passwords by key, such as an address. Thread-safe.

    An attempt counts before its password is checked, so that attempts at the same time cannot pass the limit.
    """

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def begin(self, key: str) -> bool:
        """Whether another password may be checked; if so it counts as wrong until `succeeded`."""
        with self._lock:
            count, since = self._counts.pop(key, (0, 0.0))
            now = self._clock()
            if now - since > MINUTE_S:
                count, since = 0, now
            is_admitted = count < self._limit
            self._counts[key] = (count + 1, now) if is_admitted else (count, since)
            if len(self._counts) > _MOST_KEYS:
                self._counts.popitem(last=False)
            return is_admitted

    def succeeded(self, key: str) -> None:
        """Forget the wrong passwords of a key after a right one."""
        with self._lock:
            self._counts.pop(key, None)


class Turns:
    """Lets those of one key run one after the other, and those of different keys side by side. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[str] = set()

    @contextmanager
    def of(self, key: str) -> Iterator[None]:
        """Wait until no other of this key runs, then run for the block."""
        with self._changed:
            self._changed.wait_for(lambda: key not in self._running)
            self._running.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._running.discard(key)
                self._changed.notify_all()


class KnownPasswords:
    """Right pairs of name and password of the last minute, as HMACs with a key of this process. Thread-safe.

    A password hash takes a fifth of a second; a modality with an association for each film sends the same pair again
    and again.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[bytes, float]] = {}

    def holds(self, name: bytes, password: bytes) -> bool:
        """Whether the pair was right within the last minute."""
        with self._lock:
            digest, since = self._known.get(name, (b"", 0.0))
        return hmac.compare_digest(digest, self._digest(name, password)) and self._clock() - since <= MINUTE_S

    def remember(self, name: bytes, password: bytes) -> None:
        """Remember a right pair for a minute."""
        with self._lock:
            self._known[name] = (self._digest(name, password), self._clock())

    def _digest(self, name: bytes, password: bytes) -> bytes:
        return hmac.new(self._key, len(name).to_bytes(4, "big") + name + password, hashlib.sha256).digest()
