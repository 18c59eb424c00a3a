"""Scheduler of periodic jobs: triggers, outcomes, and what its end waits for."""

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from cxr_node.domain.errors import RetryLater
from cxr_node.work.periodic_job import JobRun, Outcome, PeriodicJob
from cxr_node.work.scheduler import Scheduler

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON = 0.01


class Runs:
    """Records runs, and lets a test wait for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.runs: list[JobRun] = []

    def record(self, run: JobRun) -> None:
        """Add a run."""
        with self._changed:
            self.runs.append(run)
            self._changed.notify_all()

    def of(self, name: str, count: int = 1) -> list[JobRun]:
        """Wait for so many runs of a job, and return them."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._of(name)) >= count, 60)
            return self._of(name)

    def _of(self, name: str) -> list[JobRun]:
        return [run for run in self.runs if run.name == name]


def scheduler(runs: Runs, **functions: Callable[[], object]) -> Scheduler:
    """Return a scheduler that runs each function at once and often."""
    jobs = [PeriodicJob(name=name, trigger=SOON, run=function) for name, function in functions.items()]
    return Scheduler(jobs, record=runs.record, clock=lambda: NOW)


def raising(error: Exception) -> Callable[[], None]:
    """Return a job that raises."""

    def run() -> None:
        raise error

    return run


def test_a_run_is_recorded_with_its_time_and_the_next() -> None:
    runs = Runs()
    with scheduler(runs, leases=lambda: None):
        run = runs.of("leases")[0]

    assert (run.outcome, run.detail, run.started_at) == (Outcome.SUCCEEDED, "", NOW)
    assert run.duration_s >= 0
    assert run.next_at is not None


def test_a_job_that_raises_has_failed_and_runs_again() -> None:
    runs = Runs()
    with scheduler(runs, scrub=raising(ValueError("a patient's name"))):
        run = runs.of("scrub", count=2)[-1]

    assert run.outcome is Outcome.FAILED
    assert re.fullmatch(r"fault in the node, at [\w.]+:\d+", run.detail)
    assert "patient" not in run.detail


@pytest.mark.parametrize("error", [RetryLater("the database is unavailable"), OSError("disk full")])
def test_a_transient_fault_is_recorded_with_its_sentence(error: Exception) -> None:
    runs = Runs()
    with scheduler(runs, drift=raising(error)):
        assert runs.of("drift")[0].detail == str(error)


def test_a_job_that_another_host_runs_is_skipped() -> None:
    runs = Runs()
    with scheduler(runs, retention=lambda: Outcome.SKIPPED):
        assert runs.of("retention")[0].outcome is Outcome.SKIPPED


def test_a_slow_job_delays_no_other() -> None:
    runs, released = Runs(), threading.Event()
    with scheduler(runs, slow=released.wait, quick=lambda: None):
        assert runs.of("quick", count=2)
        assert runs.runs[0].name == "quick"
        released.set()
    assert runs.of("slow")


def test_the_end_waits_for_a_run_at_most_as_long_as_stated() -> None:
    runs, begun, released = Runs(), threading.Event(), threading.Event()

    def blocks() -> None:
        begun.set()
        released.wait()

    job = PeriodicJob(name="forwarding", trigger=SOON, run=blocks, stop_s=0.01)
    with Scheduler([job], record=runs.record, clock=lambda: NOW):
        assert begun.wait(60)
    assert runs.runs == []  # the block ended, the run has not
    released.set()
    assert runs.of("forwarding")


def test_a_cron_expression_runs_at_its_time_in_utc() -> None:
    job = PeriodicJob(name="retention", trigger="30 2 * * *", run=lambda: None)
    with Scheduler([job], record=lambda _: None, clock=lambda: NOW) as running:
        next_at = running.next_runs()["retention"]

    assert (next_at.hour, next_at.minute, next_at.utcoffset()) == (2, 30, timedelta(0))
