"""Simulated clock: moves when it is set or advanced."""

from datetime import UTC, datetime, timedelta


class SimulatedClock:
    """Returns `now`, which moves by `step` before each call; with a step no two events have the same time."""

    def __init__(
        self, now: datetime = datetime(2026, 1, 2, 12, 0, tzinfo=UTC), *, step: timedelta = timedelta()
    ) -> None:
        self.now = now
        self._step = step

    def __call__(self) -> datetime:
        """Return the time."""
        self.now += self._step
        return self.now

    def advance(self, **delta: float) -> None:
        """Move forwards, or back by negative values; the arguments are those of `timedelta`."""
        self.now += timedelta(**delta)
