"""Fault suite: runs groups of faults by name, on SQLite and PostgreSQL side by side."""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, zip_longest
from multiprocessing.connection import Connection, wait
from pathlib import Path

from cxr_node.faults import (
    chaos,
    clock_jumps,
    correction_kills,
    database_restarts,
    export_kills,
    fuzz,
    hostile_films,
    hostile_peers,
    idle_peers,
    independent_peers,
    kills,
    lost_databases,
    pacs_modes,
    postgres_server,
    power_cuts,
    prior_modes,
    receiver_modes,
    remote_modes,
    scratch,
    silent_peers,
    soak,
    startup_kills,
    step_failures,
    supervisor_kills,
    worklist_kills,
    worklist_modes,
)
from cxr_node.faults.context import Amounts, DatabaseKind, FaultContext
from cxr_node.faults.films import Films
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.suppressed_logs import suppressed_logs

Group = Callable[[FaultContext], GroupResult]

GROUPS: Mapping[str, tuple[Group, ...]] = {
    "kills": (startup_kills.run, kills.run, supervisor_kills.run),
    "corrections": (correction_kills.run,),
    "pacs": (pacs_modes.run,),
    "web": (receiver_modes.web,),
    "hl7": (receiver_modes.hl7,),
    "fhir": (receiver_modes.resources,),
    "worklist": (worklist_modes.dimse, worklist_modes.web, worklist_kills.dimse, worklist_kills.web),
    "priors": (prior_modes.run,),
    "export": (export_kills.run,),
    "remote": (remote_modes.run,),
    "disk": (step_failures.disk,),
    "power-cuts": (power_cuts.run,),
    "clock": (clock_jumps.run,),
    "database": (step_failures.database, database_restarts.run, lost_databases.run),
    "idle-peers": (idle_peers.run, silent_peers.run),
    "hostile-peers": (hostile_peers.known_peer, hostile_peers.any_peer),
    "fuzz": (fuzz.run,),
    "hostile-films": (hostile_films.run,),
    "independent-peers": (independent_peers.run,),
    "chaos": (chaos.run, chaos.run_with_bucket),
    "soak": (soak.run,),
}
"""Groups by name, in the order in which they run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Options of a run; `url` "" is a temporary PostgreSQL server, `folder` None a temporary folder."""

    groups: tuple[str, ...] = tuple(GROUPS)
    databases: tuple[DatabaseKind, ...] = ("sqlite", "postgresql")
    url: str = ""
    folder: Path | None = None
    seed: int = 20260102
    amounts: Amounts = field(default_factory=Amounts)
    receive_path: str = "streaming"
    receive_processes: int = 1
    binaries: tuple[Path, ...] = ()


OnProgress = Callable[[DatabaseKind, str, int, int], None]
"""Called with a database, a label, a count and its total."""
OnResult = Callable[[GroupResult], None]
ABORTED = "aborted"


def run(request: Request, *, on_progress: OnProgress, on_result: OnResult) -> list[GroupResult]:
    """Run the groups one after the other, the databases side by side; call `on_result` with each result.

    Raises
    ------
    NotScratch
        If the folder or the database is not empty.
    """
    if request.folder is not None:
        scratch.check_folder(request.folder)
    if request.url:
        scratch.check_database(request.url)
    results: list[GroupResult] = []

    def add(result: GroupResult) -> None:
        results.append(result)
        on_result(result)

    with _folder(request) as folder:
        if len(request.databases) > 1:
            _run_side_by_side(request, folder, on_progress=on_progress, on_result=add)
        else:
            _run_on(request, request.databases[0], folder, on_progress=on_progress, on_result=add)
    columns = [[result for result in results if result.database == kind] for kind in request.databases]
    return [result for result in chain.from_iterable(zip_longest(*columns)) if result is not None]


def _run_side_by_side(request: Request, folder: Path, *, on_progress: OnProgress, on_result: OnResult) -> None:
    """Run each database in a process of its own: groups wait much of the time."""
    spawn = multiprocessing.get_context("spawn")
    processes: dict[Connection, multiprocessing.process.BaseProcess] = {}
    unfinished: dict[Connection, DatabaseKind] = {}
    for kind in request.databases:
        receiver, sender = spawn.Pipe(duplex=False)
        processes[receiver] = spawn.Process(target=_run_in_process, args=(request, kind, folder, sender))
        processes[receiver].start()
        sender.close()
        unfinished[receiver] = kind
    while unfinished:
        for receiver in [ready for ready in wait(unfinished) if isinstance(ready, Connection)]:
            try:
                message: GroupResult | tuple[DatabaseKind, str, int, int] = receiver.recv()
            except EOFError:
                kind, process = unfinished.pop(receiver), processes[receiver]
                process.join()
                if process.exitcode:
                    problem = f"the process of the suite ended with status {process.exitcode}"
                    on_result(GroupResult(group=ABORTED, database=kind, problems=(problem,)))
                continue
            if isinstance(message, GroupResult):
                on_result(message)
            else:
                on_progress(*message)


def _run_in_process(request: Request, kind: DatabaseKind, folder: Path, connection: Connection) -> None:
    send = connection.send
    _run_on(request, kind, folder, on_progress=lambda *progress: send(progress), on_result=send)


def _run_on(
    request: Request, kind: DatabaseKind, folder: Path, *, on_progress: OnProgress, on_result: OnResult
) -> None:
    with suppressed_logs(), ExitStack() as stack:
        try:
            server = _server(request, kind, stack)
        except postgres_server.NoServer as error:
            for name in request.groups:
                on_result(GroupResult(group=name, database=kind, skipped=str(error)))
            return
        context = FaultContext(
            folder=folder / kind,
            kind=kind,
            films=Films(request.seed),
            url=server.url if server else (request.url if kind == "postgresql" else ""),
            server=server,
            seed=request.seed,
            amounts=request.amounts,
            receive_settings={"path": request.receive_path},
            receive_processes=request.receive_processes,
            on_progress=partial(on_progress, kind),
        )
        for name in sorted(request.groups, key=tuple(GROUPS).index):
            for group in GROUPS[name]:
                on_result(group(context))


def _server(request: Request, kind: DatabaseKind, stack: ExitStack) -> "postgres_server.Server | None":
    if kind == "sqlite" or request.url:
        return None
    return stack.enter_context(postgres_server.running(postgres_server.binaries(request.binaries)))


@contextmanager
def _folder(request: Request) -> Iterator[Path]:
    if request.folder is not None:
        request.folder.mkdir(parents=True, exist_ok=True)
        yield request.folder
        return
    with tempfile.TemporaryDirectory(prefix="cxr-faults-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def is_good(results: Sequence[GroupResult]) -> bool:
    """Whether at least one group ran and every promise held."""
    return any(not result.skipped for result in results) and all(result.is_good for result in results)
