"""What a phantom is read as, held against what is known of it: as the daily test film of a radiography room."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum


class Held(StrEnum):
    """What a value is held against: what was accepted for a score or measurement, or the phantom's own truth."""

    SCORE = "score"
    MEASUREMENT = "measurement"
    TRUTH = "truth"


Key = tuple[int, str, str]
"""Seed of the phantom, kind of value, and its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """How far a value may be off: scores as they are, measurements as a share of what was accepted, ratios of truth."""

    score: float = 0.01
    measurement: float = 0.02
    ratio: float = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number read from a phantom; nothing is expected of it until values were accepted."""

    seed: int
    kind: Held
    key: str
    value: float
    expected: float | None = None
    tolerance: float | None = None

    @property
    def is_within_tolerance(self) -> bool | None:
        """Whether it is as expected; None where nothing is."""
        if self.expected is None or self.tolerance is None:
            return None
        return abs(self.value - self.expected) <= self.tolerance


class State(StrEnum):
    """How a check ended, or that it has not."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    UNACCEPTED = "unaccepted"


def compared(values: Iterable[Value], accepted: Mapping[Key, float], tolerances: Tolerances) -> list[Value]:
    """Return values with what was accepted for each; those of truth are as they came."""
    return [_compared(each, accepted.get((each.seed, each.kind, each.key)), tolerances) for each in values]


def _compared(each: Value, accepted: float | None, tolerances: Tolerances) -> Value:
    if each.kind is Held.TRUTH or accepted is None:
        return each
    share = abs(accepted) * tolerances.measurement
    tolerance = tolerances.score if each.kind is Held.SCORE else share
    return Value(seed=each.seed, kind=each.kind, key=each.key, value=each.value, expected=accepted, tolerance=tolerance)


def judged(values: Iterable[Value], accepted: Mapping[Key, float]) -> tuple[State, str]:
    """Return how a check ends and why, from its compared values and all that was accepted.

    What was accepted and is not there any more is a failure as much as one that is off.
    """
    several = list(values)
    off = [f"{each.key} of phantom {each.seed}" for each in several if each.is_within_tolerance is False]
    there = {(each.seed, each.kind, each.key) for each in several}
    gone = [f"{key} of phantom {seed}" for seed, kind, key in accepted if (seed, kind, key) not in there]
    if off or gone:
        said = [f"not as expected: {', '.join(off)}"] if off else []
        return State.FAILED, "; ".join([*said, *([f"not there: {', '.join(gone)}"] if gone else [])])
    if not accepted:
        return State.UNACCEPTED, "nothing was accepted yet for this model and device: look, then accept"
    return State.PASSED, ""


def is_due(now: datetime, last: datetime | None, at: time) -> bool:
    """Return whether a daily check is due, of which the last began at `last`; `now` and `at` are local times."""
    begins = now.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return now >= begins and (last is None or last < begins)
