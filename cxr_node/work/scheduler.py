"""Scheduler: calls a function at an interval, in a thread of its own.

The only module that imports APScheduler, which keeps no state between calls.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from apscheduler.schedulers.background import BackgroundScheduler


class Schedule:
    """Calls `tick` every `tick_s` seconds while the block lasts; never two at a time, and missed calls are skipped."""

    def __init__(self, tick: Callable[[], object], *, tick_s: float) -> None:
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self._scheduler.add_job(
            tick, "interval", seconds=tick_s, max_instances=1, coalesce=True, misfire_grace_time=None
        )

    def __enter__(self) -> Self:
        self._scheduler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scheduler.shutdown(wait=True)
