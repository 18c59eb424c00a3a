"""Constancy check (after IEC 61223): values read from phantoms against a baseline, once a day."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time
from enum import StrEnum


class ValueKind(StrEnum):
    """Kind of a checked value: a score or measurement against its baseline, or a ratio against the phantom's truth."""

    SCORE = "score"
    MEASUREMENT = "measurement"
    TRUTH = "truth"


ValueKey = tuple[int, str, str]
"""Seed of the phantom, kind of value, and its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """Largest deviations: of scores absolute, of measurements as a fraction of the baseline, of ratios from truth."""

    score: float = 0.01
    measurement: float = 0.02
    ratio: float = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedValue:
    """A number read from a phantom; scores and measurements have no expected value without a baseline.

    `model_id` is the number of its model.
    """

    seed: int
    kind: ValueKind
    key: str
    value: float
    expected: float | None = None
    tolerance: float | None = None
    model_id: int | None = None

    @property
    def value_key(self) -> ValueKey:
        """The key of its baseline."""
        return self.seed, self.kind, self.key

    @property
    def is_within_tolerance(self) -> bool | None:
        """Whether the deviation is within the tolerance; None without an expected value."""
        if self.expected is None or self.tolerance is None:
            return None
        return abs(self.value - self.expected) <= self.tolerance


class CheckState(StrEnum):
    """State of a check: running, or how it ended."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    UNACCEPTED = "unaccepted"


def compare_with_baseline(
    values: Iterable[CheckedValue], baseline: Mapping[ValueKey, float], tolerances: Tolerances
) -> list[CheckedValue]:
    """Return values with expected value and tolerance from the baseline; those of truth have their own."""
    return [_compare(value, baseline.get(value.value_key), tolerances) for value in values]


def _compare(value: CheckedValue, baseline: float | None, tolerances: Tolerances) -> CheckedValue:
    if value.kind is ValueKind.TRUTH or baseline is None:
        return value
    is_score = value.kind is ValueKind.SCORE
    tolerance = tolerances.score if is_score else abs(baseline) * tolerances.measurement
    return replace(value, expected=baseline, tolerance=tolerance)


def check_state(values: Iterable[CheckedValue], baseline: Mapping[ValueKey, float]) -> tuple[CheckState, str]:
    """Return the final state of a check and its reason, from its compared values and the whole baseline.

    A baseline value that was not read again is a failure, as one out of tolerance is.
    """
    compared = list(values)
    failed = [f"{value.key} of phantom {value.seed}" for value in compared if value.is_within_tolerance is False]
    present = {value.value_key for value in compared}
    missing = [f"{key} of phantom {seed}" for seed, kind, key in baseline if (seed, kind, key) not in present]
    if failed or missing:
        reasons = [f"out of tolerance: {', '.join(failed)}"] if failed else []
        reasons += [f"missing: {', '.join(missing)}"] if missing else []
        return CheckState.FAILED, "; ".join(reasons)
    if not baseline:
        return CheckState.UNACCEPTED, "no baseline for this model and device: review the values, then accept them"
    return CheckState.PASSED, ""


def is_due(now: datetime, last: datetime | None, at: time) -> bool:
    """Return whether a daily check is due, of which the last began at `last`; `now` and `at` are local times."""
    begins = now.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return now >= begins and (last is None or last < begins)
