"""Single steps that fail: a disk that is full, fails or may not be written, a database that is away at a statement."""

import resource
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.load import send, wait_for
from cxr_node.faults.node_process import NodeProcess, Plan, life
from cxr_node.faults.outcome import Outcome
from cxr_node.faults.scratch import Place
from cxr_node.faults.steps import START, UPKEEP, Action, Fault
from cxr_node.simulators.pacs import SimulatedPacs

DISK, DATABASE = "disk full, failing, read-only at every write", "database away at every statement"
_DISK_WORDS = frozenset({"open", "write", "fsync", "rename", "replace", "mkdir", "unlink"})
_DISK_ACTIONS = (Action.NO_SPACE, Action.QUOTA, Action.INPUT_OUTPUT, Action.READ_ONLY)
_NUMBERS = (1, 3)
"""Each step fails at these times of its life: the first time, and when others have succeeded."""
_ATTEMPTS = 200
_REHEARSED_FILMS = 3
_FILMS = 12
_REST_S = 240.0
_LARGEST_FILE_BYTES = 40_000
"""Less than a film takes, more than a message: the limit of the process, so that writes really fail."""


def disk(bench: FaultContext) -> Outcome:
    """Let every call that writes to the disk fail in every way, film after film, and draw the balance."""
    return _run(bench, DISK, "disk", _DISK_ACTIONS, limits_files=True)


def database(bench: FaultContext) -> Outcome:
    """Let the database be away at every statement and commit of every stage, and draw the balance."""
    return _run(bench, DATABASE, "statements", (Action.DATABASE_AWAY,), limits_files=False)


def _run(bench: FaultContext, group: str, name: str, actions: Sequence[Action], *, limits_files: bool) -> Outcome:
    promised: dict[str, str] = {}
    problems: list[str] = []
    struck = wanted = 0
    with ExitStack() as stack:
        seconds, pacs = stack.enter_context(stopwatch()), stack.enter_context(SimulatedPacs())
        folder = bench.folder / name
        place = scratch.place(
            folder,
            receives=bench.receives,
            database_url=stack.enter_context(bench.database_url()),
            destinations={
                "pacs": scratch.to_pacs(pacs.port, confirm="find", confirm_again_s=1.0),
                "share": scratch.to_folder(folder / "share"),
            },
        )
        sender = _Sender(bench, promised, problems)
        with life(Plan(place=place, keeps_up=True)) as rehearsal:
            sender.send(rehearsal, _REHEARSED_FILMS)
            _rest(place, promised, pacs, problems)
        for number, action in enumerate(actions):
            bench.tell(action, number, len(actions))
            faults = _faults(rehearsal.steps, action, bench.amounts.writes)
            with life(Plan(place=place, faults=tuple(faults), keeps_up=True)) as one:
                sender.send(one, min(_FILMS, 3 * bench.amounts.writes))
                _rest(place, promised, pacs, problems)
                one.listen(0.0)
            struck, wanted = struck + one.struck, wanted + len(faults)
        notes = [f"{struck} of {wanted} faults struck: {len(faults)} for each way to fail"]
        if limits_files:
            notes.append(_really_full(place, sender, problems))
            with life(Plan(place=place)) as last:
                sender.send(last, 2)
                _rest(place, promised, pacs, problems)
        drawn = ledger_check.drawn(place.settings, promised, pacs.by_study)
    if struck < wanted // 2:
        problems.append(f"only {struck} of {wanted} faults struck")
    return Outcome(
        group=group,
        database=bench.kind,
        faults=struck,
        films=drawn.films,
        confirmed=drawn.confirmed,
        lost=len(drawn.lost),
        doubled=len(drawn.doubled),
        problems=(*problems, *drawn.problems, *pacs.changed),
        notes=tuple(notes),
        seconds=seconds(),
    )


def _faults(steps: Iterable[str], action: Action, most: int) -> list[Fault]:
    """Return the faults of one life: every step of the kind that `action` is for fails, each a few times."""
    found = sorted(step for step in steps if not step.startswith((START, UPKEEP)) and _fits(step, action))
    return [Fault(step=step, action=action, number=number) for number in _NUMBERS for step in found[:most]]


def _fits(step: str, action: Action) -> bool:
    _, _, what = step.partition(": ")
    when, _, call = what.partition(" ")
    if action is Action.DATABASE_AWAY:
        return when == "before" and call.startswith(("INSERT", "UPDATE", "DELETE", "COMMIT"))
    return when == "before" and call in _DISK_WORDS


class _Sender:
    """Sends films one after the other, each until it gets Success."""

    def __init__(self, bench: FaultContext, promised: dict[str, str], problems: list[str]) -> None:
        self._bench = bench
        self._promised = promised
        self._problems = problems
        self.refused: dict[int | None, int] = {}

    def send(self, node: NodeProcess, count: int) -> None:
        """Send so many new films to a node."""
        for _ in range(count):
            if not self._send(node):
                self._problems.append(f"a film got no Success in {_ATTEMPTS} attempts")

    def once(self, node: NodeProcess) -> int | None:
        """Send a new film once, and return the status."""
        film = self._bench.films.make(30_000_000 + len(self._promised))
        status = send(film, node.port)
        if status == 0:
            self._promised[str(film.StudyInstanceUID)] = str(film.SOPInstanceUID)
        else:
            self.refused[status] = self.refused.get(status, 0) + 1
        return status

    def _send(self, node: NodeProcess) -> bool:
        return any(self.once(node) == 0 for _ in range(_ATTEMPTS) if node.port and not node.ended)


def _rest(place: Place, promised: dict[str, str], pacs: SimulatedPacs, problems: list[str]) -> None:
    done = wait_for(
        lambda: promised.keys() <= pacs.by_study.keys() and ledger_check.is_at_rest(place.settings),
        _REST_S,
        pause_s=0.2,
    )
    if not done:
        problems.append(f"not at rest after {_REST_S:.0f} s")


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE_BYTES, _LARGEST_FILE_BYTES))


def _really_full(place: Place, sender: _Sender, problems: list[str]) -> str:
    """Send to a node whose process may write no file as large as a film: nothing it cannot keep gets Success."""
    with life(Plan(place=place, limits=_limit_files)) as full:
        if not full.port:
            return "with the process's limit on files the node does not start, and says so"
        statuses = [sender.once(full) for _ in range(5)]
    said = ", ".join("no answer" if status is None else f"0x{status:04X}" for status in dict.fromkeys(statuses))
    if 0 in statuses:
        problems.append("Success for a film that the process may not write")
    return f"with the process's limit on files below a film's size each film is answered with {said}"
