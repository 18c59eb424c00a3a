"""Periodic jobs of a process, their runs and outcomes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

Trigger = float | str
"""Interval in seconds, or a cron expression of five fields in UTC."""


class Outcome(StrEnum):
    """How a run of a periodic job ended; skipped: another host ran it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicJob:
    """A named job and when it runs; `run` returns `Outcome.SKIPPED` if another host runs it.

    The end of the scheduler waits for a run, at most `stop_s` seconds if that is given.
    """

    name: str
    trigger: Trigger
    run: Callable[[], object]
    stop_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """One run of a periodic job; `next_at` is when the job runs next."""

    name: str
    started_at: datetime
    duration_s: float
    outcome: Outcome
    detail: str
    next_at: datetime | None
