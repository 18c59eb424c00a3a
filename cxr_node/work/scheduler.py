"""When turns happen beside the bells: the safety net.

The only module that imports APScheduler, which ticks and holds no state.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from apscheduler.schedulers.background import BackgroundScheduler


class Schedule:
    """Calls `tick` every `tick_s` seconds, in a thread of its own, while the block lasts.

    A tick that is still running when the next is due is not doubled; missed ones are not made up for.
    """

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
