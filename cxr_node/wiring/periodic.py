"""Periodic jobs: the table of all of them, and the scheduler of a role."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from cxr_node.domain.errors import RetryLater
from cxr_node.records import periodic_jobs
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit_forwarding
from cxr_node.wiring.process import Process
from cxr_node.work.periodic_job import JobRun, Outcome, PeriodicJob, Trigger
from cxr_node.work.scheduler import Scheduler

_RECORD_S = 60.0
"""A run like the last recorded one is recorded after this time only: a commit costs a flush."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A periodic job: the roles that run it, its trigger (None: disabled), and whether one host runs it at a time.

    The end of a role waits for its run, at most `stop_s` seconds if that is given.
    """

    name: str
    roles: frozenset[str]
    trigger: Callable[[Settings], Trigger | None]
    is_exclusive: bool = False
    stop_s: float | None = None


def _if_enabled(is_enabled: object, trigger: Trigger) -> Trigger | None:
    return trigger if is_enabled else None


JOBS: tuple[JobSpec, ...] = (
    JobSpec(name="leases", roles=frozenset({"read", "deliver"}), trigger=lambda s: s.schedule.tick_s),
    JobSpec(
        name="film_attributes",
        roles=frozenset({"deliver"}),
        trigger=lambda s: s.schedule.tick_s,
        is_exclusive=True,
    ),
    JobSpec(
        name="retention",
        roles=frozenset({"deliver"}),
        trigger=lambda s: _if_enabled(s.archive.keep_days, s.schedule.retention),
        is_exclusive=True,
    ),
    JobSpec(
        name="scrub",
        roles=frozenset({"deliver"}),
        trigger=lambda s: _if_enabled(s.archive.scrub_bytes_per_second, s.schedule.scrub_s),
    ),
    JobSpec(
        name="prior_searches",
        roles=frozenset({"deliver"}),
        trigger=lambda s: _if_enabled(s.priors.sources, s.priors.every_s),
        is_exclusive=True,
        stop_s=5.0,
    ),
    JobSpec(
        name="prior_readings",
        roles=frozenset({"read"}),
        trigger=lambda s: _if_enabled(s.priors.sources, s.priors.every_s),
        is_exclusive=True,
    ),
    JobSpec(
        name="procedure_steps",
        roles=frozenset({"deliver"}),
        trigger=lambda s: _if_enabled(s.ups.worklists, s.ups.every_s),
        is_exclusive=True,
        stop_s=5.0,
    ),
    JobSpec(
        name="drift",
        roles=frozenset({"deliver"}),
        trigger=lambda s: _if_enabled(s.drift.enabled, s.schedule.drift),
        is_exclusive=True,
    ),
    JobSpec(
        name="constancy",
        roles=frozenset({"deliver"}),
        trigger=lambda s: _if_enabled(s.constancy.at, s.schedule.constancy),
        is_exclusive=True,
    ),
    JobSpec(
        name="shadow",
        roles=frozenset({"shadow"}),
        trigger=lambda s: _if_enabled(s.read.shadow, s.schedule.tick_s),
        is_exclusive=True,
        stop_s=5.0,
    ),
    # What is only read at the start, as in the shadow role, is not reloaded.
    JobSpec(
        name="settings",
        roles=frozenset({"receive", "read", "deliver", "admin"}),
        trigger=lambda s: s.schedule.tick_s,
    ),
    JobSpec(name="rejection_counters", roles=frozenset({"receive"}), trigger=lambda s: s.schedule.counters_s),
    JobSpec(
        name="remote_state",
        roles=frozenset({"read"}),
        trigger=lambda s: _if_enabled(s.read.kind == "remote", s.schedule.counters_s),
    ),
    JobSpec(name="pictures", roles=frozenset({"admin"}), trigger=lambda s: s.schedule.pictures),
    JobSpec(
        name="alarms",
        roles=frozenset({"admin"}),
        trigger=lambda s: _if_enabled(s.alert.webhook or s.alert.mail_to, s.alert.every_s),
    ),
    JobSpec(
        name="notifications",
        roles=frozenset({"admin"}),
        trigger=lambda s: _if_enabled(s.notify.rules, s.notify.every_s),
        is_exclusive=True,
    ),
    JobSpec(
        name="traces", roles=frozenset({"admin"}), trigger=lambda s: _if_enabled(s.trace.endpoint, s.trace.every_s)
    ),
    JobSpec(
        name="audit_forwarding",
        roles=frozenset({"receive", "read", "deliver", "admin", "shadow"}),
        trigger=lambda s: _if_enabled(s.audit.enabled and s.audit.syslog_host, s.schedule.audit_forwarding_s),
        stop_s=1.0,
    ),
    JobSpec(
        name="audit_removal",
        roles=frozenset({"receive", "read", "deliver", "admin", "shadow"}),
        trigger=lambda s: _if_enabled(s.audit.enabled and s.audit.keep_days, s.schedule.audit_removal),
    ),
)
"""All periodic jobs. A job is one row here and one function in the `functions` of its roles."""


@contextmanager
def run_jobs(process: Process, role: str, functions: Mapping[str, Callable[[], object]]) -> Iterator[None]:
    """Run the enabled periodic jobs of a role during the block.

    `functions` has one function for each of the role's enabled jobs but those of the audit trail and the settings.
    """
    with audit_forwarding.periodic_functions(process.settings, process.clock) as audit_functions:
        jobs = list(_jobs(process, role, {**functions, **audit_functions, "settings": process.live.reload}))
        recorder = _Recorder(process, role, frozenset(job.name for job in jobs))
        with Scheduler(jobs, record=recorder.record, clock=process.clock):
            yield


def _jobs(process: Process, role: str, functions: Mapping[str, Callable[[], object]]) -> Iterator[PeriodicJob]:
    for spec in JOBS:
        trigger = spec.trigger(process.settings) if role in spec.roles else None
        if trigger is None or (spec.name == "settings" and process.loaded is None):
            continue
        run = functions[spec.name]
        if spec.is_exclusive:
            run = partial(_exclusively, process, spec.name, run)
        yield PeriodicJob(name=spec.name, trigger=trigger, run=run, stop_s=spec.stop_s)


def _exclusively(process: Process, name: str, run: Callable[[], object]) -> object:
    with process.database.exclusive(name) as is_ours:
        return run() if is_ours else Outcome.SKIPPED


class _Recorder:
    """Writes runs to the database: every change of the outcome at once, the same outcome once a minute."""

    def __init__(self, process: Process, role: str, names: frozenset[str]) -> None:
        self._process = process
        self._role = role
        self._names = names
        self._is_begun = False
        self._last: dict[str, tuple[Outcome, str, float]] = {}

    def record(self, run: JobRun) -> None:
        """Store a run; while the database is unavailable nothing is stored."""
        outcome, detail, at = self._last.get(run.name, (None, "", 0.0))
        now = time.monotonic()
        if (outcome, detail) == (run.outcome, run.detail) and now - at < _RECORD_S:
            return
        host = self._process.settings.node.host_name
        try:
            with self._process.database.write() as transaction:
                if not self._is_begun:
                    periodic_jobs.forget_others(transaction, self._names, host=host, role=self._role)
                periodic_jobs.store(
                    transaction,
                    run.name,
                    host=host,
                    role=self._role,
                    started_at=run.started_at,
                    duration_s=run.duration_s,
                    outcome=run.outcome,
                    detail=run.detail,
                    next_at=run.next_at,
                )
        except RetryLater:
            return
        self._is_begun = True
        self._last[run.name] = (run.outcome, run.detail, now)
