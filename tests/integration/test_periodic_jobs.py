"""Periodic jobs: every one is in the table, its last run is in the database, a failing one is an alarm."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from cxr_node.config import ConfigurationError, parse
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.domain.clock import utc_now
from cxr_node.ops.alarms import active_alarms
from cxr_node.queries import overview
from cxr_node.records import periodic_jobs
from cxr_node.settings.root import Settings
from cxr_node.wiring import maintenance
from cxr_node.wiring.periodic import JOBS, run_jobs
from cxr_node.wiring.process import Process
from cxr_node.wiring.role_names import Role
from tests.support.queue import NOON


def settings_of(folder: Path, **tables: dict[str, object]) -> Settings:
    """Return settings of a node in a folder."""
    return parse({"node": {"data_folder": str(folder), "host": "host-1"}, **tables})


def run(process: Process, role: str, name: str, function: Callable[[], object]) -> None:
    """Run a job of a role until it has run once, beside others that do nothing."""
    ran = threading.Event()

    def once() -> object:
        try:
            return function()
        finally:
            ran.set()

    functions = {spec.name: (once if spec.name == name else lambda: None) for spec in JOBS}
    with run_jobs(process, role, functions):
        assert ran.wait(60)


def test_each_role_has_periodic_jobs_with_unique_names() -> None:
    assert len({spec.name for spec in JOBS}) == len(JOBS)
    assert set().union(*(spec.roles for spec in JOBS)) == {role.value for role in Role}


def test_each_job_of_the_deliver_role_has_a_function(tmp_path: Path) -> None:
    """But those of every role, and those that talk to the archives and worklists of the settings."""
    others = ("audit_", "settings", "prior_searches", "procedure_steps")
    names = {spec.name for spec in JOBS if "deliver" in spec.roles and not spec.name.startswith(others)}

    with Process.open(settings_of(tmp_path)) as process:
        assert set(maintenance.functions(process)) == names


def test_the_last_run_of_a_job_is_in_the_database(tmp_path: Path) -> None:
    with Process.open(settings_of(tmp_path, schedule={"tick_s": 0.05})) as process:
        migrate.upgrade(process.database)
        run(process, "read", "leases", lambda: None)
        with process.database.read() as connection:
            (job,) = overview.periodic_jobs(connection)

    assert (job.name, job.host, job.role, job.outcome, job.detail) == ("leases", "host-1", "read", "succeeded", "")
    assert job.next_at is not None


def test_a_failing_job_is_an_alarm_until_it_succeeds(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, schedule={"tick_s": 0.05})
    with Process.open(settings) as process:
        migrate.upgrade(process.database)

        def fail() -> None:
            raise OSError("disk full")

        run(process, "read", "leases", fail)
        failing = active_alarms(settings, process.database, now=utc_now())
        run(process, "read", "leases", lambda: None)
        succeeding = active_alarms(settings, process.database, now=utc_now())

    name = "periodic job leases on host-1"
    assert failing[name] == "failed, and runs again: disk full"
    assert name not in succeeding


def test_a_disabled_job_loses_its_row_at_the_next_start(database: Database) -> None:
    for name in ("retention", "scrub"):
        store(database, name)
    with database.write() as transaction:
        periodic_jobs.forget_others(transaction, frozenset({"scrub"}), host="host-1", role="deliver")

    with database.read() as connection:
        assert [job.name for job in overview.periodic_jobs(connection)] == ["scrub"]


def test_a_run_replaces_the_one_before(database: Database) -> None:
    store(database, "drift", outcome="failed", detail="away")
    store(database, "drift")

    with database.read() as connection:
        (job,) = overview.periodic_jobs(connection)
    assert (job.outcome, job.detail, job.next_at) == ("succeeded", "", NOON + timedelta(hours=1))


def store(database: Database, name: str, *, outcome: str = "succeeded", detail: str = "") -> None:
    """Store a run of a job of the deliver role."""
    with database.write() as transaction:
        periodic_jobs.store(
            transaction,
            name,
            host="host-1",
            role="deliver",
            started_at=NOON,
            duration_s=0.5,
            outcome=outcome,
            detail=detail,
            next_at=NOON + timedelta(hours=1),
        )


@pytest.mark.parametrize("trigger", [0, -1, "often", "* * * *", "60 x", True])
def test_a_trigger_is_seconds_or_a_cron_expression(trigger: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"schedule\.retention"):
        settings_of(tmp_path, schedule={"retention": trigger})
    assert settings_of(tmp_path, schedule={"retention": "30 2 * * *"}).schedule.retention == "30 2 * * *"
