"""Rate limit of repeated audit messages, so that repeated rejections cannot fill the disk."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cxr_node.audit.message import AuditMessage

_WITHIN = timedelta(minutes=1)
_MAXIMUM = 10
_MAXIMUM_KEYS = 1024


@dataclass(slots=True)
class _Window:
    until: datetime
    admitted: int
    last: AuditMessage
    suppressed: int = 0


class RepeatFilter:
    """Admits ten messages per key and minute, and counts the others."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def admits(self, key: str, message: AuditMessage) -> bool:
        """Whether to write `message` now; otherwise it is counted."""
        # Above the limit of keys, as with very many addresses, the others share one count.
        key = key if key in self._windows or len(self._windows) < _MAXIMUM_KEYS else ""
        window = self._windows.setdefault(key, _Window(until=message.at + _WITHIN, admitted=0, last=message))
        if window.admitted < _MAXIMUM:
            window.admitted += 1
            return True
        window.suppressed += 1
        window.last = message
        return False

    def ended(self, now: datetime) -> list[tuple[AuditMessage, int]]:
        """Return the last message of each key whose minute has ended, and the number suppressed, if any."""
        ended = [key for key, window in self._windows.items() if window.until <= now]
        windows = [self._windows.pop(key) for key in ended]
        return [(window.last, window.suppressed) for window in windows if window.suppressed]
