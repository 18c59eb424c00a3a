"""Memory of what happened a moment ago, so that repetitions of it are recorded once."""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta


class RecentlySeen:
    """Remembers names for `interval`, at most `maximum` of them. Thread-safe."""

    def __init__(self, *, interval: timedelta = timedelta(hours=1), maximum: int = 4096) -> None:
        self._interval = interval
        self._maximum = maximum
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, ...], datetime] = OrderedDict()

    def is_new(self, *name: str, now: datetime) -> bool:
        """Whether a name was not remembered; then it is from now on."""
        with self._lock:
            last = self._seen.get(name)
            if last is not None and now - last < self._interval:
                return False
            self._seen[name] = now
            self._seen.move_to_end(name)
            if len(self._seen) > self._maximum:
                self._seen.popitem(last=False)
            return True
