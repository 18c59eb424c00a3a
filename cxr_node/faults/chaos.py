"""Faults of every kind at random, one after the other, on the installed program under load, in real time."""

import os
import resource
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from io import BytesIO
from pathlib import Path
from random import Random

from pydicom import Dataset
from pydicom.dataset import FileDataset
from pydicom.uid import UID
from pynetdicom.dsutils import decode

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.database_restarts import inject
from cxr_node.faults.films import Films
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.load import LoadGenerator, running
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.process_usage import Usage
from cxr_node.faults.scratch import ScratchNode
from cxr_node.faults.supervisor_kills import role_processes, running_program, shared_port
from cxr_node.simulators.pacs import OUT_OF_RESOURCES, SUCCESS, SimulatedPacs, StoredObject, StoreRequest
from cxr_node.simulators.program import ROLES, Program

GROUP = "every fault at random"
_START_S = 600.0
_IDLE_TIMEOUT_S = 900.0
_CALM_S = (0.5, 4.0)
"""Between two faults."""
_PAUSE_S = 1.0
"""Between two films."""
_LONGEST_S = 10.0
_SLOW_S = 3.0
_FILE_BYTES = 4096
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


class _Chaos:
    """The program, and the faults that are done to it."""

    def __init__(self, context: FaultContext, place: ScratchNode, pacs: SimulatedPacs, rng: Random) -> None:
        self._context, self._place, self._pacs, self._rng = context, place, pacs, rng
        self.done: Counter[str] = Counter()
        self._faults: Mapping[str, Callable[[Program], bool]] = {
            "role killed": self._kill_role,
            "program killed": self._kill_program,
            "supervisor killed": self._kill_supervisor,
            "role suspended": self._suspend_role,
            "PACS out of resources": self._exhaust_pacs,
            "PACS slow": self._slow_pacs,
            "archive away": self._move_archive,
            "database away": self._disturb_database,
            "no file descriptors": self._bound_descriptors,
            "no larger files": self._bound_files,
        }

    def disturb(self, program: Program) -> bool:
        """Do one fault at random; return whether the program has ended by it."""
        name = self._rng.choice(sorted(self._faults))
        self.done[name] += 1
        return self._faults[name](program)

    def _role(self, program: Program) -> int:
        """Return the process ID of a role at random, 0 if none runs."""
        processes = sorted(role_processes(program.process.pid).values())
        return self._rng.choice(processes) if processes else 0

    def _pause(self) -> None:
        threading.Event().wait(self._rng.uniform(1.0, _LONGEST_S))

    def _kill_role(self, program: Program) -> bool:
        _signal(self._role(program), signal.SIGKILL)
        return False

    def _kill_program(self, program: Program) -> bool:
        program.kill()
        return True

    def _kill_supervisor(self, program: Program) -> bool:
        os.kill(program.process.pid, signal.SIGKILL)
        program.process.wait()
        return True

    def _suspend_role(self, program: Program) -> bool:
        process = self._role(program)
        _signal(process, signal.SIGSTOP)
        self._pause()
        _signal(process, signal.SIGCONT)
        return False

    def _exhaust_pacs(self, _program: Program) -> bool:
        self._pacs.status = OUT_OF_RESOURCES
        self._pause()
        self._pacs.status = SUCCESS
        return False

    def _slow_pacs(self, _program: Program) -> bool:
        def slowly(_request: StoreRequest) -> int:
            threading.Event().wait(_SLOW_S)
            return SUCCESS

        self._pacs.status = slowly
        self._pause()
        self._pacs.status = SUCCESS
        return False

    def _move_archive(self, _program: Program) -> bool:
        archive = ledger_check.archive_folder(self._place.settings)
        away = archive.with_name("archive-away")
        archive.rename(away)
        self._pause()
        _put_back(away, archive)
        return False

    def _disturb_database(self, _program: Program) -> bool:
        inject(self._context, self._place, self.done["database away"])
        return False

    def _bound_descriptors(self, program: Program) -> bool:
        process = self._role(program)
        return self._bound(process, resource.RLIMIT_NOFILE, Usage.of(process).open_files + 2 if process else 0)

    def _bound_files(self, program: Program) -> bool:
        return self._bound(self._role(program), resource.RLIMIT_FSIZE, _FILE_BYTES)

    def _bound(self, process: int, limit: int, value: int) -> bool:
        """Lower a limit of a process for a while."""
        with suppress(ProcessLookupError):
            if process:
                soft, hard = resource.prlimit(process, limit)
                resource.prlimit(process, limit, (value, hard))
                self._pause()
                resource.prlimit(process, limit, (soft, hard))
        return False


def run(context: FaultContext) -> GroupResult:
    """Do faults at random for some minutes; every film with Success must have one report, of its own patient."""
    minutes, rng = context.amounts.chaos_minutes, context.rng(GROUP)
    if not minutes:
        return GroupResult(group=GROUP, database=context.kind, skipped="not in the short form")
    group, films, foreign = GroupRun(context, GROUP), _Kinds(context.seed), list[str]()

    def on_stored(stored: StoredObject) -> None:
        if _patient_of(stored) != films.patients.get(stored.study_instance_uid):
            foreign.append(stored.sop_instance_uid)

    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs(on_stored=on_stored))
        destinations = {"pacs": scratch.to_pacs(pacs.port, confirm="find", confirm_again_s=1.0)}
        place = stack.enter_context(
            context.node("chaos", destinations=destinations, receive=shared_port(context.receive_processes))
        )
        load = LoadGenerator(films=films, stored=group.promised, next_film=_FIRST_FILM, pause_s=_PAUSE_S)
        load.reported_count = lambda: len(load.stored.keys() & pacs.by_study.keys())
        stack.enter_context(running(load))
        chaos = _Chaos(context, place, pacs, rng)
        deadline = time.monotonic() + 60 * minutes
        while time.monotonic() < deadline and not group.problems:
            group.problems += _one_life(context, place, load, chaos, deadline, rng)
        usage = _finish(place, load, pacs, group)
        ledger = group.check_ledger(place, pacs, is_fuzzed=True)
    notes = (
        f"{minutes:g} minutes; " + ", ".join(f"{name} {count}" for name, count in sorted(chaos.done.items())),
        f"at the end: {usage}",
    )
    problems = [f"{uid} is of another patient than its film" for uid in foreign]
    problems += [f"{uid} was sent again with other bytes" for uid in pacs.changed]
    return group.result(ledger, faults=chaos.done.total(), notes=notes, problems=problems)


def _one_life(
    context: FaultContext, place: ScratchNode, load: LoadGenerator, chaos: _Chaos, deadline: float, rng: Random
) -> list[str]:
    """Run the program until a fault ends it or the time is over; return a problem, if it does not start."""
    with running_program(place) as program:
        if not program.wait_until_ready("receive", timeout_s=_START_S):
            return [f"the program did not start after {chaos.done.total()} faults; {program.state()}"]
        is_over = False
        while not is_over and (left := deadline - time.monotonic()) > 0:
            context.on_progress("seconds of faults", round(60 * context.amounts.chaos_minutes - left), round(left))
            load.port = program.port
            threading.Event().wait(rng.uniform(*_CALM_S))
            is_over = chaos.disturb(program)
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


def _put_back(away: Path, archive: Path) -> None:
    """Move the archive back, and into it what a role that started meanwhile has stored in a new one."""
    meanwhile = archive.with_name("archive-meanwhile")
    with suppress(FileNotFoundError):
        archive.rename(meanwhile)
    away.rename(archive)
    for file in sorted(meanwhile.glob("*/*/*")):
        place = archive / file.relative_to(meanwhile)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.rename(place)
    shutil.rmtree(meanwhile, ignore_errors=True)


def _signal(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        if process:
            os.kill(process, number)


def _patient_of(stored: StoredObject) -> str:
    """Return the Patient ID of a result."""
    syntax = UID(stored.transfer_syntax_uid)
    data_set: Dataset = decode(BytesIO(stored.data_set), syntax.is_implicit_VR, syntax.is_little_endian)
    return str(data_set.get("PatientID", ""))
