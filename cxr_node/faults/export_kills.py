"""`kill -9` of a de-identified export at each access to the disk: no study is half there, and a later run ends it."""

import csv
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

from cxr_node.domain.identifiers import digest_of
from cxr_node.faults import scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.films import PatientFilms
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.instrumented import instrument_disk
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch import ScratchNode
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.faults.steps import Checkpoints, Fault
from cxr_node.faults.suppressed_logs import suppressed_logs
from cxr_node.ops import exports
from cxr_node.simulators.node import wired_node
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.wiring.process import Process

GROUP = "kill -9 of an export without identifiers"
_FIRST_FILM = 46_000
_SECRET = "0123456789abcdef" * 2  # of films of phantoms
_RESULTS = ("report", "picture")
_MANIFEST, _ROWS = "manifest.csv", "objects.csv"
_PRELOADED = ["cxr_node.faults.export_kills", "cxr_node.report.kinds.tid1500", "sqlite3", "psycopg"]
_TIMEOUT_S = 120.0
_FILMS = 4


def run(context: FaultContext) -> GroupResult:
    """Export the films of a node in processes that are killed at one access to the disk after the other."""
    films = PatientFilms(context.seed)
    group, kills = GroupRun(context, GROUP, first_film=_FIRST_FILM, films=films), 0
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        place = stack.enter_context(context.node("export", destinations={"pacs": scratch.to_pacs(pacs.port)}))
        with wired_node(place.settings, network=ScratchNetwork) as node:
            for _ in range(_FILMS):
                group.store(node.port)
            node.run_due()
        whole = place.folder / "whole"
        accesses = _run_to_end(place, whole)
        group.problems += _faults_of(whole, is_ended=True)
        expected = _contents(whole)
        for access in _killed_at(len(accesses), context.amounts.export_kills):
            fault, folder = accesses[access], place.folder / "killed"
            context.on_progress("kills of an export", access, len(accesses))
            for _ in range(2):  # the second run goes on with what the first has left
                kills += _run_killed(place, folder, fault)
                group.problems += _faults_of(folder, is_ended=False)
            _run_to_end(place, folder)
            group.problems += _faults_of(folder, is_ended=True)
            if _contents(folder) != expected:
                group.problems.append(f"the export after kills at {fault.step}, {fault.number}, has other content")
            shutil.rmtree(folder)
        identifiers = list(_identifiers(films))
        group.problems += [f"{name} is in the export" for name in _identifiers_in(whole, identifiers)]
        ledger = group.check_ledger(place, pacs)
    notes = (f"{len(accesses)} accesses to the disk in an export of {len(expected)} files",)
    return group.result(ledger, faults=kills, notes=notes)


def _killed_at(accesses: int, kills: int) -> Iterator[int]:
    """Yield numbers of accesses, all of them or as many as wanted at equal distances."""
    step = max(1, -(-accesses // kills))
    yield from range(step - 1, accesses, step)


def _run_to_end(place: ScratchNode, folder: Path) -> list[Fault]:
    """Export; return a fault at each access to the disk, in their order."""
    accesses: list[Fault] = []
    counts: dict[str, int] = {}

    def note(step: str) -> None:
        counts[step] = counts.get(step, 0) + 1
        accesses.append(Fault(step=step, number=counts[step]))

    status = _in_process(place, folder, None, note)
    if status != 0:
        raise RuntimeError(f"an export without faults ended with status {status}")
    return accesses


def _run_killed(place: ScratchNode, folder: Path, fault: Fault) -> bool:
    """Export until a fault; return whether the process was killed there."""
    return _in_process(place, folder, fault, lambda _: None) != 0


def _in_process(place: ScratchNode, folder: Path, fault: Fault | None, note: Callable[[str], None]) -> int | None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    ours, theirs = context.Pipe()
    process = context.Process(target=_export, args=(place, folder, fault, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        while ours.poll(_TIMEOUT_S):
            note(str(ours.recv()))
    except EOFError:
        pass
    process.join(_TIMEOUT_S)
    ours.close()
    return process.exitcode


class _EachAccess(Checkpoints):
    """Checkpoints that announce each access to the disk, not only the first of its kind."""

    def __init__(self, faults: Iterable[Fault], announce: Callable[[str], None]) -> None:
        super().__init__(tuple(faults))
        self._each = announce

    def reach(self, checkpoint: str) -> None:
        """Announce and count an access."""
        self._each(f"start: {checkpoint}")
        super().reach(checkpoint)


def _export(place: ScratchNode, folder: Path, fault: Fault | None, connection: Connection) -> None:
    """Export all films of a node in this process, which kills itself at the fault."""
    with suppressed_logs(), Process.open(place.settings, is_audited=False) as process:
        instrument_disk(_EachAccess([fault] if fault else [], connection.send))
        with process.database.read() as rows:
            planned = exports.plan(rows, film_ids=None, study_ids=None)
        conditions = exports.ExportConditions(secret=_SECRET, results=_RESULTS)
        with exports.folder_target(folder, conditions) as target:
            exports.export(process, planned, conditions, target)
    os._exit(0)


def _faults_of(folder: Path, *, is_ended: bool) -> list[str]:
    """Return what is half written: a study that lacks a file or has another, a manifest that is cut or missing."""
    if not folder.is_dir():
        return ["an export has ended without a folder"] if is_ended else []
    faults = [
        f"study {study.name} of an export is not whole"
        for study in folder.iterdir()
        if study.is_dir() and not study.name.startswith(".") and _digests(study) != dict(_stated(study / _ROWS))
    ]
    manifest = folder / _MANIFEST
    if is_ended and [path.name for path in folder.iterdir() if path.name.startswith(".partial")]:
        faults.append("an export that has ended left a part behind")
    if is_ended and not manifest.is_file():
        faults.append("an export has ended without a manifest")
    return faults


def _digests(study: Path) -> dict[str, str]:
    return {path.name: digest_of(path.read_bytes()) for path in study.iterdir() if path.name != _ROWS}


def _stated(rows: Path) -> Iterator[tuple[str, str]]:
    """Yield name and digest of each file that a study names; none where it names none."""
    if rows.is_file():
        with rows.open(newline="", encoding="utf-8") as file:
            yield from ((Path(row["file"]).name, row["sha256"]) for row in csv.DictReader(file))


def _contents(folder: Path) -> dict[str, str]:
    """Return the digest of each file by its path in the folder."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): digest_of(path.read_bytes()) for path in paths}


def _identifiers(films: PatientFilms) -> Iterator[str]:
    for film in films.by_study.values():
        yield from (str(film.PatientID), str(film.PatientName), str(film.StudyInstanceUID), str(film.SOPInstanceUID))


def _identifiers_in(folder: Path, identifiers: list[str]) -> list[str]:
    """Return the identifiers that are in a name or in any byte of the folder's files."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    content = b"\n".join(str(path.relative_to(folder)).encode() + path.read_bytes() for path in paths)
    return [identifier for identifier in dict.fromkeys(identifiers) if identifier.encode() in content]
