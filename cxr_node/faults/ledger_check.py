"""Promises held against what is there: the modality's Success, the ledger, the disk, the PACS."""

from collections.abc import Mapping
from pathlib import Path

from cxr_node.archive.folder import FolderArchive
from cxr_node.db.database import Database
from cxr_node.db.states import ENDED, State
from cxr_node.domain.errors import RetryLater
from cxr_node.faults.outcome import LedgerCheck
from cxr_node.queries import ledger
from cxr_node.queries.ledger import Fate
from cxr_node.queue import search
from cxr_node.settings.root import Settings
from cxr_node.work.periodic.scrub import Scrubber


def is_at_rest(settings: Settings) -> bool:
    """Whether every job of a node has ended; no if the database cannot be asked."""
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            return all(count.state in ENDED for count in search.counts(connection))
    except RetryLater:
        return False
    finally:
        database.close()


def drawn(
    settings: Settings,
    promised: Mapping[str, str],
    arrived: Mapping[str, Mapping[str, str]],
    *,
    failed_is_fine: bool = False,
    extra_is_fine: bool = False,
) -> LedgerCheck:
    """Return the balance of a node that has come to rest.

    Parameters
    ----------
    promised
        Study Instance UID to the SOP Instance UID of its one film that got Success.
    arrived
        Study Instance UID to the reports that the PACS has of it.
    failed_is_fine
        Whether a job that a person must look at is what the faults should lead to.
    extra_is_fine
        Whether more films than those promised may be kept: of garbled ones, some are films all the same.
    """
    database = Database(settings.database_url)
    archive = FolderArchive(settings.node.data_folder / "archive")
    try:
        with database.read() as connection:
            entries = {entry.sop_instance_uid: entry for entry in ledger.entries(connection)}
            named = ledger.archive_keys(connection)
            jobs = search.jobs(connection, limit=10**9)
        damage = Scrubber(database, archive).whole()
    finally:
        database.close()
    lost = [study for study, film in promised.items() if film not in entries or not arrived.get(study)]
    doubled = [study for study, reports in arrived.items() if len(reports) > 1]
    delivered = {film for film, entry in entries.items() if entry.fate is Fate.DELIVERED}
    confirmed = [study for study, film in promised.items() if film in delivered and len(arrived.get(study, {})) == 1]
    problems = [f"{found.file.archive_key} is {found.fault}" for found in damage]
    problems += [f"{key} is missing" for key in sorted(named) if key not in archive]
    failed = [job for job in jobs if job.state is State.FAILED and not failed_is_fine]
    problems += [f"{job.stage} job {job.job_id} failed: {job.detail}" for job in failed]
    problems += [f"{path.name} is left half written" for path in (archive_folder(settings) / "staging").iterdir()]
    if len(entries) - len(promised) > 1 and not extra_is_fine:
        # One film may be kept whose Success was on its way when the traffic ended.
        problems.append(f"{len(entries)} films are kept, and {len(promised)} got Success")
    return LedgerCheck(
        films=len(promised),
        confirmed=len(confirmed),
        lost=tuple(lost),
        doubled=tuple(doubled),
        problems=tuple(problems),
    )


def archive_folder(settings: Settings) -> Path:
    """Return where the archive of a node is."""
    return settings.node.data_folder / "archive"
