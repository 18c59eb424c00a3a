"""What comes again and again is counted, so that who knocks at the door all day does not fill the disk."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cxr_node.audit.message import Message

_WITHIN = timedelta(minutes=1)
_MOST = 10
_REMEMBERED = 1024


@dataclass(slots=True)
class _Window:
    until: datetime
    admitted: int
    last: Message
    held: int = 0


class Repeats:
    """Admits ten messages of a kind in a minute, and says when the minute is over how many more there were."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def admits(self, kind: str, message: Message) -> bool:
        """Whether `message` is to be written now; otherwise it is counted."""
        # Of very many kinds in a minute, as from very many addresses, the last share one count.
        key = kind if kind in self._windows or len(self._windows) < _REMEMBERED else ""
        window = self._windows.setdefault(key, _Window(until=message.at + _WITHIN, admitted=0, last=message))
        if window.admitted < _MOST:
            window.admitted += 1
            return True
        window.held += 1
        window.last = message
        return False

    def over(self, now: datetime) -> list[tuple[Message, int]]:
        """Return the last message of each kind whose minute is over, and how many were only counted, where any were."""
        ended = [key for key, window in self._windows.items() if window.until <= now]
        windows = [self._windows.pop(key) for key in ended]
        return [(window.last, window.held) for window in windows if window.held]
