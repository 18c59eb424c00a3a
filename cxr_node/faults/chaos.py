"""Faults of every kind at random, one after the other, on the installed program under load, in real time."""

import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from random import Random

from pydicom import Dataset
from pydicom.dataset import FileDataset
from pydicom.uid import UID
from pynetdicom.dsutils import decode

from cxr_node.faults import bucket, ledger_check, own_volume, scratch
from cxr_node.faults.bucket import Store
from cxr_node.faults.chaos_faults import Faults
from cxr_node.faults.context import FaultContext
from cxr_node.faults.films import Films
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.load import LoadGenerator, running
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.process_usage import Usage
from cxr_node.faults.scratch import ScratchNode
from cxr_node.faults.supervisor_kills import role_processes, running_program, shared_port
from cxr_node.simulators.pacs import SimulatedPacs, StoredObject
from cxr_node.simulators.program import ROLES

GROUP, GROUP_BUCKET = "every fault at random", "every fault at random, archive in a bucket"
_START_S = 600.0
_IDLE_TIMEOUT_S = 900.0
_CALM_S = (0.5, 4.0)
"""Between two faults."""
_PAUSE_S = 1.0
"""Between two films."""
_VOLUME_BYTES, _VOLUME_INODES = 512 << 20, 20_000
_FIRST_FILM = 90_000_000
_BROKEN: tuple[Mapping[str, object], ...] = (
    {},
    {"PixelData": bytes(2)},
    {},
    {"ViewPosition": "LATERAL"},
    {"PatientAge": "003Y"},
    {},
    {"BodyPartExamined": "ABDOMEN"},
    {"Rows": 7},
)
"""Changes of films in turn: most are not analysed, and have a report that says why."""


class _Kinds(Films):
    """Films of every kind in turn, each of a patient of its own."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.patients: dict[str, str] = {}
        """Patient ID by Study Instance UID."""

    def make(self, number: int, *, study: int | None = None) -> FileDataset:
        film = super().make(number, study=study)
        film.PatientID = f"CHAOS{number}"
        for keyword, value in _BROKEN[number % len(_BROKEN)].items():
            setattr(film, keyword, value)
        self.patients[str(film.StudyInstanceUID)] = film.PatientID
        return film


def run(context: FaultContext) -> GroupResult:
    """Do faults at random for some minutes; every film with Success must have one report, of its own patient."""
    if not context.amounts.chaos_minutes:
        return GroupResult(group=GROUP, database=context.kind, skipped="not in the short form")
    reason = own_volume.reason_why_not()
    if reason:
        return _run(context, GROUP, skipped={"no inodes, disk full": reason})
    return own_volume.run(context, __name__, size_bytes=_VOLUME_BYTES, inodes=_VOLUME_INODES)


def run_on_volume(context: FaultContext) -> GroupResult:
    """Do faults at random, in a folder that is a volume of its own: it is also filled."""
    return _run(context, GROUP, volume=context.folder)


def run_with_bucket(context: FaultContext) -> GroupResult:
    """Do the same with an archive in a bucket."""
    if not context.amounts.chaos_minutes:
        return GroupResult(group=GROUP_BUCKET, database=context.kind, skipped="not in the short form")
    reason = bucket.reason_why_not()
    if reason:
        return GroupResult(group=GROUP_BUCKET, database=context.kind, skipped=reason)
    with bucket.running() as store:
        return _run(context, GROUP_BUCKET, store=store)


def _run(
    context: FaultContext,
    title: str,
    *,
    store: Store | None = None,
    volume: Path | None = None,
    skipped: Mapping[str, str] | None = None,
) -> GroupResult:
    minutes, rng = context.amounts.chaos_minutes, context.rng(title)
    group, films, foreign = GroupRun(context, title), _Kinds(context.seed), list[str]()

    def on_stored(stored: StoredObject) -> None:
        if _patient_of(stored) != films.patients.get(stored.study_instance_uid):
            foreign.append(stored.sop_instance_uid)

    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs(on_stored=on_stored))
        place = stack.enter_context(
            context.node(
                "chaos" if store is None else "chaos-bucket",
                destinations={"pacs": scratch.to_pacs(pacs.port, confirm="find", confirm_again_s=1.0)},
                sections={"archive": {} if store is None else store.settings},
                receive=shared_port(context.receive_processes),
            )
        )
        load = LoadGenerator(films=films, stored=group.promised, next_film=_FIRST_FILM, pause_s=_PAUSE_S)
        load.reported_count = lambda: len(load.stored.keys() & pacs.by_study.keys())
        stack.enter_context(running(load))
        faults = Faults(context, place, pacs, rng, store=store, volume=volume)
        deadline = time.monotonic() + 60 * minutes
        while time.monotonic() < deadline and not group.problems:
            group.problems += _one_life(context, place, load, faults, deadline, rng)
        usage = _finish(place, load, pacs, group)
        ledger = group.check_ledger(place, pacs, is_fuzzed=True)
    not_done = {**faults.skipped, **(skipped or {})}
    notes = (
        f"{minutes:g} minutes; " + ", ".join(f"{name} {count}" for name, count in sorted(faults.done.items())),
        *(f"skipped: {name}: {reason}" for name, reason in sorted(not_done.items())),
        f"at the end: {usage}",
    )
    problems = [f"{uid} is of another patient than its film" for uid in foreign]
    problems += [f"{uid} was sent again with other bytes" for uid in pacs.changed]
    return group.result(ledger, faults=faults.done.total(), notes=notes, problems=problems)


def _one_life(
    context: FaultContext, place: ScratchNode, load: LoadGenerator, faults: Faults, deadline: float, rng: Random
) -> list[str]:
    """Run the program until a fault ends it or the time is over; return a problem, if it does not start."""
    with running_program(place) as program:
        if not program.wait_until_ready("receive", timeout_s=_START_S):
            return [f"the program did not start after {faults.done.total()} faults; {program.state()}"]
        is_over = False
        while not is_over and (left := deadline - time.monotonic()) > 0:
            context.on_progress("seconds of faults", round(60 * context.amounts.chaos_minutes - left), round(left))
            load.port = program.port
            threading.Event().wait(rng.uniform(*_CALM_S))
            is_over = faults.disturb(program)
        load.port = 0
    return []


def _finish(place: ScratchNode, load: LoadGenerator, pacs: SimulatedPacs, group: GroupRun) -> str:
    """Let the program finish all jobs; return the use of its processes."""
    with running_program(place) as program:
        program.wait_until_ready(*ROLES, timeout_s=_START_S)
        load.port = program.port
        load.stopping.set()
        group.problems += ledger_check.wait_until_idle(place.settings, load.stored, pacs, _IDLE_TIMEOUT_S, pause_s=0.5)
        roles = sorted(role_processes(program.process.pid).items())
        usage = ", ".join(f"{role} {Usage.of(process)}" for role, process in roles)
    if program.process.returncode != 0:
        group.problems.append(f"the program ended with status {program.process.returncode}")
    return usage


def _patient_of(stored: StoredObject) -> str:
    """Return the Patient ID of a result."""
    syntax = UID(stored.transfer_syntax_uid)
    data_set: Dataset = decode(BytesIO(stored.data_set), syntax.is_implicit_VR, syntax.is_little_endian)
    return str(data_set.get("PatientID", ""))
