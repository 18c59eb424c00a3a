"""Power cuts at every flush of the installed program: what was not flushed is lost, what was promised is there.

strace records the program's writes, flushes, names and responses while it starts for the first time and receives
films from several modalities. The disk of each moment is then laid out without what had not been flushed.
"""

import hashlib
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset

from cxr_node.archive.integrity import is_intact
from cxr_node.domain.identifiers import Digest
from cxr_node.faults import scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.file_trace import CALLS, Call, Disk, calls
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.load import send
from cxr_node.faults.node_process import NodePlan, node_process
from cxr_node.faults.outcome import GroupResult, LedgerResult, total
from cxr_node.faults.scratch import ScratchNode
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.program import COMMAND, Program

GROUP = "power cuts at every flush"
_STRACE = ("strace", "-D", "-f", "-qq", "-y", "-xx", "-s", "100000000", "-e", "signal=none", "-e", f"trace={CALLS}")
_START_S = 600.0
_IDLE_TIMEOUT_S = 120.0
_MODALITIES = 4
_KEY_BYTES = 32
_SUCCESS = bytes.fromhex("0000 0009 0200 0000 0000")
"""Status (0000,0900) of a response: Success, as elements of a command set are encoded."""
_DATABASE = "node.db"
_KEY = "web.key"
_SETTINGS = "audit/settings.sha256"
_MEMORY = f"{_DATABASE}-shm"
"""Shared memory of SQLite, which writes it without system calls and makes it anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """Files of the data folder after a cut, in one of its states, and the films that had got Success."""

    state: str
    moment: str
    files: Mapping[str, bytes]
    promised: Sequence[str] = field(default=())

    @property
    def name(self) -> str:
        """Name of the cut in problems."""
        return f"power cut after {self.moment}, {self.state}"


def run(context: FaultContext) -> GroupResult:
    """Trace a first start and films; check the disk of every moment, and start a node on some of them."""
    if context.kind != "sqlite":
        return GroupResult(group=GROUP, database=context.kind, skipped="PostgreSQL answers for its own files")
    if not _may_trace():
        return GroupResult(group=GROUP, database=context.kind, skipped="no strace on this machine that may trace")
    group = GroupRun(context, GROUP)
    films = [context.films.make(85_000_000 + number) for number in range(context.amounts.power_films)]
    with ExitStack() as stack:
        place = stack.enter_context(context.node("power-cuts", destinations={}, sections={"web": {"port": 0}}))
        trace = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cxr-faults-trace-"))) / "trace"
        group.problems += _record(place, trace, films)
        cuts, missed = _cuts(trace, place, films)
        group.problems += [f"{name} was written by calls that were not traced" for name in missed]
        for number, cut in enumerate(cuts):
            context.on_progress("cuts", number, len(cuts))
            group.problems += _problems(cut)
        starts = context.rng(GROUP).sample(cuts, min(len(cuts), context.amounts.power_starts))
        ledgers = [_start(context, number, cut, films) for number, cut in enumerate([*starts, cuts[-1]])]
    notes = (f"{len(cuts)} states of the disk, {len(ledgers)} of them started on; {len(films)} films received",)
    return group.result(total(ledgers), faults=len(cuts), notes=notes)


def _may_trace() -> bool:
    program = shutil.which("strace")
    if program is None:
        return False
    traced = subprocess.run([program, "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)  # noqa: S603
    return traced.returncode == 0


def _record(place: ScratchNode, trace: Path, films: Sequence[Dataset]) -> list[str]:
    """Start the program for the first time, send it the films side by side, and stop it; return problems."""
    command = (str(shutil.which(_STRACE[0])), *_STRACE[1:], "-o", str(trace), *COMMAND)
    with Program(place.config, log=place.log, roles=("receive", "admin"), command=command) as program:
        if not program.wait_until_ready("receive", "admin", timeout_s=_START_S):
            return [program.state()]
        with ThreadPoolExecutor(_MODALITIES) as modalities:
            statuses = list(modalities.map(lambda film: send(film, program.port, timeout_s=60.0), films))
    return [f"a film got status {status}" for status in statuses if status != 0]


def _cuts(trace: Path, place: ScratchNode, films: Sequence[Dataset]) -> tuple[list[_Cut], list[str]]:
    """Return the disk before each response and after each flush, and files whose writing was not traced."""
    data_folder = place.settings.node.data_folder.resolve()
    disk = Disk(data_folder)
    uids = [str(film.SOPInstanceUID) for film in films]
    promised: list[str] = []
    cuts: list[_Cut] = []
    known: set[tuple[str, ...]] = set()
    for call in calls(trace):
        stored = _stored(call, uids)
        if not disk.apply(call) and not stored:
            continue
        promised += [uid for uid in stored if uid not in promised]
        moment = f"Success for film {len(promised)}" if stored else f"{call.name} {len(cuts)}"
        for state, files in disk.states():
            key = (*(f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in files.items()), *promised)
            if key not in known:
                known.add(key)
                cuts.append(_Cut(state=state, moment=moment, files=files, promised=tuple(promised)))
    return cuts, [name for name in disk.differences() if name != _MEMORY]


def _stored(call: Call, uids: Sequence[str]) -> list[str]:
    """Return the films to which this call sends Success."""
    if call.name != "sendto" or call.is_end:
        return []
    content = call.content
    return [uid for uid in uids if uid.encode() in content and _SUCCESS in content]


def _problems(cut: _Cut) -> list[str]:
    """Return what is not whole on the disk after a cut: a key, a digest, the database, a film with a row or Success."""
    problems = []
    if len(cut.files.get(_KEY, bytes(_KEY_BYTES))) != _KEY_BYTES:
        problems.append(f"{_KEY} is not whole")
    if cut.files.get(_SETTINGS) == b"":
        problems.append(f"{_SETTINGS} is empty")
    try:
        rows = _rows(cut)
    except sqlite3.DatabaseError as error:
        return [f"{cut.name}: {problem}" for problem in (*problems, f"the database is damaged: {error}")]
    problems += [f"a film with Success has no row: {uid}" for uid in cut.promised if uid not in rows]
    for uid, (key, digest) in rows.items():
        content = cut.files.get(f"archive/{key}")
        if content is None or not is_intact(content, digest):
            problems.append(f"the file of {uid} is {'missing' if content is None else 'not whole'}")
    return [f"{cut.name}: {problem}" for problem in problems]


def _rows(cut: _Cut) -> dict[str, tuple[str, Digest]]:
    """Return archive key and digest of each film in the database by SOP Instance UID, as its recovery finds it.

    Raises
    ------
    sqlite3.DatabaseError
        If it is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="cxr-faults-cut-") as folder:
        for name, content in cut.files.items():
            if name.startswith(_DATABASE) and name != _MEMORY:
                (Path(folder) / name).write_bytes(content)
        with closing(sqlite3.connect(Path(folder) / _DATABASE)) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'film'").fetchone():
                return {}
            films = connection.execute("SELECT sop_instance_uid, archive_key, digest FROM film")
            return {uid: (key, Digest(digest)) for uid, key, digest in films}


def _start(context: FaultContext, number: int, cut: _Cut, films: Sequence[Dataset]) -> LedgerResult:
    """Start a node on the disk after a cut; every film that had got Success must be reported."""
    of_study = {str(film.SOPInstanceUID): str(film.StudyInstanceUID) for film in films}
    group = GroupRun(context, GROUP)
    group.promised = {of_study[uid]: uid for uid in cut.promised}
    with SimulatedPacs() as pacs:
        place = scratch.create_node(
            context.folder / f"power-cut-{number}", destinations={"pacs": scratch.to_pacs(pacs.port)}
        )
        for name, content in cut.files.items():
            path = place.settings.node.data_folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        with node_process(NodePlan(place=place)) as node:
            if not node.port:
                group.problems.append(f"{cut.name}: no node starts on it")
            group.wait_until_idle(place, pacs, _IDLE_TIMEOUT_S)
            node.stop()
        # A film may have a row without its response having been sent.
        ledger = group.check_ledger(place, pacs, is_fuzzed=True)
        place.clear()
    problems = tuple(f"{cut.name}: {problem}" for problem in (*group.problems, *ledger.problems))
    return LedgerResult(
        films=ledger.films,
        confirmed=ledger.confirmed,
        lost=ledger.lost,
        duplicated=ledger.duplicated,
        problems=problems,
    )
