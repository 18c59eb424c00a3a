"""Scheduler: runs the periodic jobs of a process, each in a thread. The only module that imports APScheduler."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Self

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from cxr_node.domain.errors import RetryLater, place_of, type_and_place
from cxr_node.work.periodic_job import JobRun, Outcome, PeriodicJob, Trigger

_log = logging.getLogger(__name__)


class Scheduler:
    """Runs periodic jobs during the block: no job twice at a time; missed runs are skipped, a late one is not.

    `record` gets each run. A job that raises has failed and runs again at its next time.
    """

    def __init__(
        self, jobs: Sequence[PeriodicJob], *, record: Callable[[JobRun], object], clock: Callable[[], datetime]
    ) -> None:
        self._record = record
        self._clock = clock
        self._details: dict[str, str] = {}
        self._stop_s = {job.name: job.stop_s for job in jobs}
        self._is_idle = {job.name: threading.Event() for job in jobs}
        for is_idle in self._is_idle.values():
            is_idle.set()
        # A slow job does not delay the others: each has a thread.
        executors = {"default": ThreadPoolExecutor(max(1, len(jobs)))}
        self._scheduler = BackgroundScheduler(timezone="UTC", executors=executors)
        for job in jobs:
            self._scheduler.add_job(
                self._run,
                _trigger(job.trigger),
                args=[job],
                id=job.name,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
            )

    def __enter__(self) -> Self:
        self._scheduler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._scheduler.shutdown(wait=False)
        for name, is_idle in self._is_idle.items():
            is_idle.wait(self._stop_s[name])

    def next_runs(self) -> dict[str, datetime]:
        """Return when each job runs next."""
        return {job.id: job.next_run_time for job in self._scheduler.get_jobs()}

    def _run(self, job: PeriodicJob) -> None:
        self._is_idle[job.name].clear()
        try:
            self._record(self._run_of(job))
        finally:
            self._is_idle[job.name].set()

    def _run_of(self, job: PeriodicJob) -> JobRun:
        # The end of the scheduler clears its jobs, perhaps during this run.
        next_at = self.next_runs().get(job.name)
        started_at, started = self._clock(), time.monotonic()
        outcome, detail = _outcome_of(job)
        self._log_change(job.name, outcome, detail)
        return JobRun(
            name=job.name,
            started_at=started_at,
            duration_s=time.monotonic() - started,
            outcome=outcome,
            detail=detail,
            next_at=next_at,
        )

    def _log_change(self, name: str, outcome: Outcome, detail: str) -> None:
        """Log a failure that differs from that of the last run, and the first success after a failure."""
        before = self._details.get(name, "")
        self._details[name] = detail
        if outcome is Outcome.FAILED and detail != before:
            _log.warning("periodic job %s failed, and runs again: %s", name, detail)
        elif outcome is Outcome.SUCCEEDED and before:
            _log.info("periodic job %s succeeds again", name)


def _trigger(trigger: Trigger) -> IntervalTrigger | CronTrigger:
    if isinstance(trigger, str):
        return CronTrigger.from_crontab(trigger, timezone="UTC")
    return IntervalTrigger(seconds=trigger, timezone="UTC")


def _outcome_of(job: PeriodicJob) -> tuple[Outcome, str]:
    try:
        return (Outcome.SKIPPED if job.run() is Outcome.SKIPPED else Outcome.SUCCEEDED), ""
    except (RetryLater, OSError) as error:
        return Outcome.FAILED, str(error)
    except Exception as error:  # noqa: BLE001  # the scheduler goes on; the failed run is recorded and alarmed
        # The message of a library may quote a data set.
        _log.error("periodic job %s: %s", job.name, type_and_place(error))
        return Outcome.FAILED, f"fault in the node, at {place_of(error)}"
