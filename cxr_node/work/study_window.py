"""Study window: how long a film waits for the other films of its study."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyWindow:
    """A study whose films are all read is composed `quiet_s` after its last film was received.

    Any study is composed at the latest `max_wait_s` after its first.
    """

    quiet_s: float
    max_wait_s: float

    def due_at(self, last_received: datetime) -> datetime:
        """Return when a study is due if no other film of it is received."""
        return last_received + timedelta(seconds=self.quiet_s)

    def deadline(self, first_received: datetime) -> datetime:
        """Return when a study is composed from the films that are read by then."""
        return first_received + timedelta(seconds=self.max_wait_s)

    @property
    def longest_s(self) -> float:
        """Longest time that a compose job may wait."""
        return max(self.quiet_s, self.max_wait_s)
