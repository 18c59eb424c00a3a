"""The groups of the fault suite by name, and the databases they are run on."""

import logging
import multiprocessing
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, zip_longest
from multiprocessing.connection import Connection, wait
from pathlib import Path

from pynetdicom.fsm import InvalidEventError

from cxr_node.faults import (
    clock_jumps,
    database_restarts,
    fuzz,
    idle_peers,
    kills,
    pacs_modes,
    postgres_server,
    scratch,
    soak,
    startup_kills,
    step_failures,
    supervisor_kills,
)
from cxr_node.faults.context import Amounts, FaultContext, Kind
from cxr_node.faults.films import Films
from cxr_node.faults.outcome import Outcome

Group = Callable[[FaultContext], Outcome]

GROUPS: Mapping[str, tuple[Group, ...]] = {
    "kills": (startup_kills.run, kills.run, supervisor_kills.run),
    "pacs": (pacs_modes.run,),
    "disk": (step_failures.disk,),
    "clock": (clock_jumps.run,),
    "database": (step_failures.database, database_restarts.run),
    "crowd": (idle_peers.run,),
    "fuzz": (fuzz.run,),
    "soak": (soak.run,),
}
"""What can be asked for, in the order in which it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for. `url` is a scratch PostgreSQL's; empty: one of the suite's own. `folder` None: a new one."""

    groups: tuple[str, ...] = tuple(GROUPS)
    databases: tuple[Kind, ...] = ("sqlite", "postgresql")
    url: str = ""
    folder: Path | None = None
    seed: int = 20260102
    amounts: Amounts = field(default_factory=Amounts)
    receive_path: str = "streaming"
    receive_processes: int = 1
    binaries: tuple[Path, ...] = ()


Tell = Callable[[Kind, str, int, int], None]
"""Hears how far a database's bench is: what is counted, how many of how many."""
OnOutcome = Callable[[Outcome], None]
BROKEN_OFF = "broken off"


def run(request: Request, *, tell: Tell, on_outcome: OnOutcome) -> list[Outcome]:
    """Run what is asked for, a database beside the other, one group after the other; `on_outcome` hears of each.

    Raises
    ------
    NotScratch
        If the folder or the database holds something.
    """
    if request.folder is not None:
        scratch.check_folder(request.folder)
    if request.url:
        scratch.check_database(request.url)
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        on_outcome(outcome)

    with _folder(request) as folder:
        if len(request.databases) > 1:
            _run_side_by_side(request, folder, tell=tell, note=note)
        else:
            _run_on(request, request.databases[0], folder, tell=tell, note=note)
    each = [[outcome for outcome in outcomes if outcome.database == kind] for kind in request.databases]
    return [outcome for outcome in chain.from_iterable(zip_longest(*each)) if outcome is not None]


def _run_side_by_side(request: Request, folder: Path, *, tell: Tell, note: OnOutcome) -> None:
    """Run each database's bench in a process of its own: much of the time a bench waits."""
    processes = multiprocessing.get_context("spawn")
    benches: dict[Connection, multiprocessing.process.BaseProcess] = {}
    unfinished: dict[Connection, Kind] = {}
    for kind in request.databases:
        heard, said = processes.Pipe(duplex=False)
        benches[heard] = processes.Process(target=_bench, args=(request, kind, folder, said))
        benches[heard].start()
        said.close()
        unfinished[heard] = kind
    while unfinished:
        for heard in [each for each in wait(unfinished) if isinstance(each, Connection)]:
            try:
                word: Outcome | tuple[Kind, str, int, int] = heard.recv()
            except EOFError:
                kind, process = unfinished.pop(heard), benches[heard]
                process.join()
                if process.exitcode:
                    died = (f"the suite itself ended with status {process.exitcode}",)
                    note(Outcome(group=BROKEN_OFF, database=kind, problems=died))
                continue
            if isinstance(word, Outcome):
                note(word)
            else:
                tell(*word)


def _bench(request: Request, kind: Kind, folder: Path, said: Connection) -> None:
    _run_on(request, kind, folder, tell=lambda *progress: said.send(progress), note=said.send)


def _run_on(request: Request, kind: Kind, folder: Path, *, tell: Tell, note: OnOutcome) -> None:
    with _quiet(), ExitStack() as stack:
        try:
            own = _server(request, kind, stack)
        except postgres_server.NoServer as error:
            for name in request.groups:
                note(Outcome(group=name, database=kind, skipped=str(error)))
            return
        bench = FaultContext(
            folder=folder / kind,
            kind=kind,
            films=Films(request.seed),
            url=own.url if own else (request.url if kind == "postgresql" else ""),
            server=own,
            seed=request.seed,
            amounts=request.amounts,
            receives={"path": request.receive_path},
            processes=request.receive_processes,
            tell=partial(tell, kind),
        )
        for name in sorted(request.groups, key=tuple(GROUPS).index):
            for group in GROUPS[name]:
                note(group(bench))


def _server(request: Request, kind: Kind, stack: ExitStack) -> "postgres_server.Server | None":
    if kind == "sqlite" or request.url:
        return None
    return stack.enter_context(postgres_server.running(postgres_server.binaries(request.binaries)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what nodes say in this process, and pynetdicom's threads that die of an association's end."""
    log = logging.getLogger("cxr_node")
    level, hook = log.level, threading.excepthook

    def excepthook(arguments: threading.ExceptHookArgs, /) -> None:
        if not isinstance(arguments.exc_value, InvalidEventError):
            hook(arguments)

    log.setLevel(logging.CRITICAL + 1)
    threading.excepthook = excepthook
    try:
        yield
    finally:
        log.setLevel(level)
        threading.excepthook = hook


@contextmanager
def _folder(request: Request) -> Iterator[Path]:
    if request.folder is not None:
        request.folder.mkdir(parents=True, exist_ok=True)
        yield request.folder
        return
    with tempfile.TemporaryDirectory(prefix="cxr-faults-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def is_good(outcomes: Sequence[Outcome]) -> bool:
    """Whether something was run, and every promise held in all of it."""
    return any(not each.skipped for each in outcomes) and all(each.is_good for each in outcomes)
