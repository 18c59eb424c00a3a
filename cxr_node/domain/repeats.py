"""Rate limit of repeated messages, so that a flood of them cannot fill a log, the audit trail or the disk."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

_WITHIN = timedelta(minutes=1)
_MAXIMUM = 10
_MAXIMUM_KEYS = 1024

Message = TypeVar("Message")


@dataclass(slots=True)
class _Window(Generic[Message]):
    until: datetime
    admitted: int
    last: Message
    suppressed: int = 0


class RepeatFilter(Generic[Message]):
    """Admits ten messages per key and minute, and counts the others."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window[Message]] = {}

    def admits(self, key: str, message: Message, *, at: datetime) -> bool:
        """Whether to write `message` now; otherwise it is counted."""
        # Above the limit of keys, as with very many addresses, the others share one count.
        key = key if key in self._windows or len(self._windows) < _MAXIMUM_KEYS else ""
        window = self._windows.setdefault(key, _Window(until=at + _WITHIN, admitted=0, last=message))
        if window.admitted < _MAXIMUM:
            window.admitted += 1
            return True
        window.suppressed += 1
        window.last = message
        return False

    def ended(self, now: datetime) -> list[tuple[Message, int]]:
        """Return the last message of each key whose minute has ended, and the number suppressed, if any."""
        ended = [key for key, window in self._windows.items() if window.until <= now]
        return self._removed(ended)

    def all(self) -> list[tuple[Message, int]]:
        """Return what `ended` would return once every minute has ended."""
        return self._removed(list(self._windows))

    def _removed(self, keys: list[str]) -> list[tuple[Message, int]]:
        windows = [self._windows.pop(key) for key in keys]
        return [(window.last, window.suppressed) for window in windows if window.suppressed]
