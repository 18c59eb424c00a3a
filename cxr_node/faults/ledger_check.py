"""Check of a scratch node: films with Success against the ledger, the archive and the reports in the PACS."""

from collections.abc import Mapping
from pathlib import Path

from cxr_node.db.database import Database
from cxr_node.db.states import ENDED, State
from cxr_node.domain.errors import RetryLater
from cxr_node.faults.load import wait_for
from cxr_node.faults.outcome import LedgerResult
from cxr_node.queries import ledger
from cxr_node.queries.ledger import Fate
from cxr_node.queue import search
from cxr_node.settings.root import Settings
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.wiring.process import Process
from cxr_node.work.periodic.scrub import Scrubber


def is_idle(settings: Settings) -> bool:
    """Whether every job of a node has ended; False while the database is unreachable."""
    try:
        return not _waiting_jobs(settings)
    except RetryLater:
        return False


def not_idle(settings: Settings, timeout_s: float) -> str:
    """Return a problem: a node has not ended its jobs within `timeout_s`; with those jobs."""
    try:
        jobs = "; ".join(_waiting_jobs(settings)) or "every job has ended"
    except RetryLater as error:
        jobs = str(error)
    return f"not idle after {timeout_s:.0f} s: {jobs}"


def _waiting_jobs(settings: Settings) -> list[str]:
    """Return a description of the jobs that have not ended, by stage, state and reason."""
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            counts = [count for count in search.counts(connection) if count.state not in ENDED]
        return [f"{count.jobs} {count.stage} jobs {count.state} {count.reason}".rstrip() for count in counts]
    finally:
        database.close()


def wait_until_idle(
    settings: Settings, promised: Mapping[str, str], pacs: SimulatedPacs, timeout_s: float, *, pause_s: float = 0.05
) -> list[str]:
    """Wait until the PACS has a report on each promised film and every job has ended; return the problem, if any."""
    if wait_for(lambda: promised.keys() <= pacs.by_study.keys() and is_idle(settings), timeout_s, pause_s=pause_s):
        return []
    missing = promised.keys() - pacs.by_study.keys()
    return [not_idle(settings, timeout_s), *(f"study {study} has no report" for study in sorted(missing))]


def check(
    settings: Settings,
    promised: Mapping[str, str],
    reports: Mapping[str, Mapping[str, str]],
    *,
    allow_failed_jobs: bool = False,
    allow_extra_films: bool = False,
) -> LedgerResult:
    """Check a node whose jobs have all ended.

    Parameters
    ----------
    promised
        Study Instance UID to the SOP Instance UID of its one film that got Success.
    reports
        Study Instance UID to the reports in the PACS: SOP Instance UID to digest.
    allow_failed_jobs
        Whether the faults are meant to leave failed jobs.
    allow_extra_films
        Whether more films than the promised ones may be stored: some mutated films are valid.
    """
    with Process.open(settings) as process:
        with process.database.read() as connection:
            entries = {entry.sop_instance_uid: entry for entry in ledger.entries(connection)}
            keys = ledger.archive_keys(connection)
            jobs = search.jobs(connection, limit=10**9)
        damage = Scrubber(process.database, process.archive).whole()
        missing = [key for key in sorted(keys) if key not in process.archive]
    lost = [study for study, film in promised.items() if film not in entries or not reports.get(study)]
    duplicated = [study for study, instances in reports.items() if len(instances) > 1]
    delivered = {film for film, entry in entries.items() if entry.fate is Fate.DELIVERED}
    confirmed = [study for study, film in promised.items() if film in delivered and len(reports.get(study, {})) == 1]
    problems = [f"{damaged.file.archive_key} is {damaged.fault}" for damaged in damage]
    problems += [f"{key} is missing" for key in missing]
    failed = [job for job in jobs if job.state is State.FAILED and not allow_failed_jobs]
    problems += [f"{job.stage} job {job.job_id} failed: {job.detail}" for job in failed]
    problems += [f"{path.name} is a leftover staging file" for path in (archive_folder(settings) / "staging").glob("*")]
    if len(entries) - len(promised) > 1 and not allow_extra_films:
        # The Success of one stored film may have been in transit when the load generator stopped.
        problems.append(f"{len(entries)} films are stored, and {len(promised)} got Success")
    return LedgerResult(
        films=len(promised),
        confirmed=len(confirmed),
        lost=tuple(lost),
        duplicated=tuple(duplicated),
        problems=tuple(problems),
    )


def archive_folder(settings: Settings) -> Path:
    """Return the archive folder of a node."""
    return settings.node.data_folder / "archive"
