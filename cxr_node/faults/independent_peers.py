"""Independent peers: DCMTK makes and sends the films and takes and counts the reports, while the node is killed.

Films, upper layer and counter of the other groups share code with the node, so that one misunderstanding of the
standard could hide in both. Here the node's code is only in the node.
"""

import re
import shutil
import socket
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.load import wait_for
from cxr_node.faults.node_process import NodePlan, NodeProcess, node_process
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch import MODALITY_TITLE, NODE_TITLE

GROUP = "independent peers"
_PROGRAMS = ("dump2dcm", "storescu", "storescp", "dcmdump")
_FILMS_A_KILL = 4
_LONGEST_S = 1.5
"""The node is killed at a random moment, at most that long after the first film is sent."""
_IDLE_TIMEOUT_S = 180.0
_TIMEOUT_S = 60
_SIDE = 32
_FILM = """\
(0008,0016) UI =ComputedRadiographyImageStorage
(0008,0018) UI [{root}.{number}.3]
(0008,0020) DA [20260102]
(0008,0030) TM [101112]
(0008,0060) CS [CR]
(0010,0010) PN [Independent^{number}]
(0010,0020) LO [IND{number}]
(0018,5101) CS [PA]
(0020,000d) UI [{root}.{number}.1]
(0020,000e) UI [{root}.{number}.2]
(0028,0002) US 1
(0028,0004) CS [MONOCHROME2]
(0028,0010) US {side}
(0028,0011) US {side}
(0028,0100) US 16
(0028,0101) US 12
(0028,0102) US 11
(0028,0103) US 0
(7fe0,0010) OW ={pixels}
"""
_ROOT = "1.2.826.0.1.3680043.10.543.9"
"""Root of the films' UIDs, for tests only."""
_SENT = re.compile(r"Sending file: (?P<file>.*)$|(?P<success>Received Store Response \(Success\))", re.MULTILINE)
_ELEMENT = re.compile(r"^\((?P<tag>[0-9a-f]{4},[0-9a-f]{4})\) .. (?:\[(?P<text>[^\]]*)\]|=(?P<name>\S+))", re.MULTILINE)
_STUDY, _INSTANCE, _PATIENT, _MODALITY = "0020,000d", "0008,0018", "0010,0020", "0008,0060"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Film:
    """A film in a file, and what its report must say."""

    path: Path
    study_instance_uid: str
    sop_instance_uid: str
    patient_id: str


def run(context: FaultContext) -> GroupResult:
    """Send films with DCMTK to a node that is killed, send them again until Success; count reports in its storescp."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        return GroupResult(
            group=GROUP, database=context.kind, skipped=f"{', '.join(missing)} of DCMTK is not on this machine"
        )
    group, rng, kills = GroupRun(context, GROUP), context.rng(GROUP), context.amounts.peer_kills
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cxr-faults-dcmtk-")))
        films = _make_films(folder / "films", kills * _FILMS_A_KILL, rng)
        port = stack.enter_context(_receiving(folder / "reports"))
        destinations = {"pacs": scratch.to_pacs(port)}
        place = stack.enter_context(context.node("independent-peers", destinations=destinations))
        waiting = list(films)
        for number in range(kills):
            context.on_progress("kills", number, kills)
            with node_process(NodePlan(place=place)) as node:
                sent = waiting[: 2 * _FILMS_A_KILL]
                stored = _send_and_kill(node, sent, rng.uniform(0.1, _LONGEST_S))
            group.promised.update({film.study_instance_uid: film.sop_instance_uid for film in stored})
            waiting = [film for film in waiting if film not in stored]
        reports = _finish(group, place, waiting, folder / "reports", films)
        ledger = ledger_check.check(place.settings, group.promised, reports, allow_extra_films=True)
    notes = (f"{len(films)} films of dump2dcm, sent by storescu, reports taken by storescp and read by dcmdump",)
    return group.result(ledger, faults=kills, notes=notes)


def _finish(
    group: GroupRun, place: "scratch.ScratchNode", waiting: Sequence[_Film], received: Path, films: Sequence[_Film]
) -> Mapping[str, Mapping[str, str]]:
    """Send the films that got no Success to a node without faults; return reports by study once all is idle."""
    by_study: Mapping[str, Mapping[str, str]] = {}

    def is_done() -> bool:
        nonlocal by_study
        by_study = _reports(received)
        return group.promised.keys() <= by_study.keys() and ledger_check.is_idle(place.settings)

    with node_process(NodePlan(place=place)) as last:
        stored = _stored(waiting, _storescu(last.port, waiting).communicate(timeout=_TIMEOUT_S)[0]) if waiting else []
        group.promised.update({film.study_instance_uid: film.sop_instance_uid for film in stored})
        if len(group.promised) < len(films):
            group.problems.append(f"{len(films) - len(group.promised)} films got no Success from a node without faults")
        if not wait_for(is_done, _IDLE_TIMEOUT_S, pause_s=0.2):
            group.problems.append(ledger_check.not_idle(place.settings, _IDLE_TIMEOUT_S))
        last.stop()
    patients = {film.study_instance_uid: film.patient_id for film in films}
    for path in sorted(received.iterdir()):
        report = _elements(path)
        if report.get(_PATIENT) != patients.get(report.get(_STUDY, "")):
            group.problems.append(f"{report.get(_INSTANCE)} is of another patient than its film")
    return by_study


def _make_films(folder: Path, count: int, rng: Random) -> list[_Film]:
    """Write films with dump2dcm, of random gray values."""
    folder.mkdir()
    films = []
    for number in range(1, count + 1):
        text, pixels, path = (folder / f"{number}{suffix}" for suffix in (".txt", ".raw", ".dcm"))
        pixels.write_bytes(b"".join(rng.randrange(4096).to_bytes(2, "little") for _ in range(_SIDE * _SIDE)))
        text.write_text(_FILM.format(root=_ROOT, number=number, side=_SIDE, pixels=pixels), encoding="utf-8")
        _output("dump2dcm", text, path)
        films.append(
            _Film(
                path=path,
                study_instance_uid=f"{_ROOT}.{number}.1",
                sop_instance_uid=f"{_ROOT}.{number}.3",
                patient_id=f"IND{number}",
            )
        )
    return films


@contextmanager
def _receiving(folder: Path) -> Iterator[int]:
    """Run storescp for the block; its objects go to `folder`. Yields its port."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = _started("storescp", "-q", "-aet", "PACS", "-od", folder, str(port))
    try:
        wait_for(lambda: process.poll() is not None or _listens(port), _TIMEOUT_S)
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=_TIMEOUT_S)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _storescu(port: int, films: Sequence[_Film]) -> "subprocess.Popen[str]":
    titles = ["-aet", MODALITY_TITLE, "-aec", NODE_TITLE]
    return _started("storescu", "-v", "-to", "5", *titles, "127.0.0.1", str(port), *(film.path for film in films))


def _send_and_kill(node: NodeProcess, films: Sequence[_Film], after_s: float) -> list[_Film]:
    """Send films, kill the node after that time, and return the films that got Success."""
    if not node.port:
        return []
    sender = _storescu(node.port, films)
    node.wait(after_s)
    node.kill()
    return _stored(films, sender.communicate(timeout=_TIMEOUT_S)[0])


def _stored(films: Sequence[_Film], output: str) -> list[_Film]:
    """Return the films for which storescu has written that their response was Success."""
    by_path = {str(film.path): film for film in films}
    stored, current = [], ""
    for line in _SENT.finditer(output):
        if line["file"]:
            current = line["file"].strip()
        elif current:
            stored.append(by_path[current])
    return stored


def _reports(folder: Path) -> Mapping[str, Mapping[str, str]]:
    """Return the reports that storescp has written, by study: SOP Instance UID to file name."""
    by_study: dict[str, dict[str, str]] = defaultdict(dict)
    for path in folder.iterdir():
        report = _elements(path)
        if report.get(_MODALITY) == "SR":
            by_study[report[_STUDY]][report[_INSTANCE]] = path.name
    return by_study


def _elements(path: Path) -> dict[str, str]:
    """Return some elements of a file as dcmdump prints them."""
    wanted = [argument for tag in (_STUDY, _INSTANCE, _PATIENT, _MODALITY) for argument in ("+P", tag)]
    dumped = _output("dcmdump", "-q", "-Un", *wanted, path)
    return {line["tag"]: (line["text"] or line["name"] or "").strip() for line in _ELEMENT.finditer(dumped)}


def _started(program: str, *arguments: str | Path) -> "subprocess.Popen[str]":
    """Start a program of DCMTK."""
    return subprocess.Popen(  # noqa: S603  # the DCMTK of this machine
        [str(shutil.which(program)), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _output(program: str, *arguments: str | Path) -> str:
    """Run a program of DCMTK; return what it writes."""
    return _started(program, *arguments).communicate(timeout=_TIMEOUT_S)[0]
