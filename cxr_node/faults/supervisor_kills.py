"""`kill -9` of the installed program under load: of all processes, the supervisor alone, or a role."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.load import LoadGenerator, running, wait_for
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch import ScratchNode
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "kill -9 of the program, its supervisor or a role"
_ROLES = ("receive", "read", "deliver")
"""Without the web role, whose port may be in use."""
_START_S = 600.0
"""Upper bound for a busy machine. A program that ends is noticed at once."""
_LOG_CHARACTERS = 2000
_LONGEST_S = 12.0
_IDLE_TIMEOUT_S = 240.0
_END_S = 30.0


@dataclass(slots=True)
class Program:
    """The running program; `addresses` has the address of each ready role."""

    process: "subprocess.Popen[str]"
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Port of the receive role, 0 until it is ready."""
        return int(self.addresses.get("receive", ":0").rpartition(":")[2])

    def listen(self) -> None:
        """Read the addresses of ready roles until the program ends."""
        for line in self.process.stdout or ():
            message = json.loads(line)
            self.addresses[message["role"]] = message["address"]

    def roles(self) -> dict[str, int]:
        """Return the process ID of each running role."""
        processes: dict[str, int] = {}
        parent = self.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children")
        for child in children.read_text().split() if children.exists() else ():
            words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            if "role" in words:
                processes[words[words.index("role") + 1]] = int(child)
        return processes

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running_program(place: ScratchNode) -> Iterator[Program]:
    """Run the program while the block lasts."""
    with place.log.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603  # this package
            [
                sys.executable,
                "-m",
                "cxr_node",
                "run",
                "--json",
                "--roles",
                ",".join(_ROLES),
                "--config",
                str(place.config),
            ],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    program = Program(process)
    listener = threading.Thread(target=program.listen, daemon=True)
    listener.start()
    try:
        yield program
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                program.kill()
        listener.join(5)
        if process.stdout is not None:
            process.stdout.close()


def run(context: FaultContext) -> GroupResult:
    """Kill in turn all processes, the supervisor alone, and each role; check the ledger."""
    kills, rng = context.amounts.program_kills, context.rng(GROUP)
    if not kills:
        return GroupResult(group=GROUP, database=context.kind, skipped="not in the short form")
    problems: list[str] = []
    with ExitStack() as stack:
        seconds, pacs = stack.enter_context(stopwatch()), stack.enter_context(SimulatedPacs())
        place = scratch.create_node(
            context.folder / "supervised",
            receive={**context.receive_settings, **_shared_port(context.receive_processes)},
            database_url=stack.enter_context(context.database_url()),
            destinations={"pacs": scratch.to_pacs(pacs.port)},
        )
        load = LoadGenerator(films=context.films, next_film=20_000_000, max_in_flight=3)
        load.reported_count = lambda: len(load.stored.keys() & pacs.by_study.keys())
        stack.enter_context(running(load))
        kills_done = turn = 0
        while kills_done < kills and not problems:
            context.on_progress("kills of the program", kills_done, kills)
            with running_program(place) as node:
                killed, problem = _kill(node, load, turn, rng)
                kills_done, turn, load.port = kills_done + killed, turn + 1, 0
                problems += [f"{problem}; its log ends with: {_end_of_log(place)}"] if problem else []
        problems += _wait_until_idle(place, load, pacs.by_study)
        ledger = ledger_check.check(place.settings, load.stored, pacs.by_study)
    return GroupResult.of(
        ledger,
        group=GROUP,
        database=context.kind,
        faults=kills_done,
        problems=tuple(problems),
        seconds=seconds(),
    )


def _end_of_log(place: ScratchNode) -> str:
    return place.log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARACTERS:].strip() or "(nothing)"


def _shared_port(processes: int) -> dict[str, object]:
    """Return the settings of several processes on one port: one that was free a moment ago."""
    if processes == 1:
        return {}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return {"processes": processes, "port": probe.getsockname()[1]}


def _kill(node: Program, load: LoadGenerator, turn: int, rng: Random) -> tuple[int, str]:
    """Kill processes of a program under load; return the number of kills, and a problem or an empty string."""
    if not _is_ready(node, "receive"):
        return 1, f"the program did not start in turn {turn}"
    load.port = node.port
    threading.Event().wait(rng.uniform(0, _LONGEST_S))
    if turn % 3 == 0:
        node.kill()
        return 1, ""
    if turn % 3 == 1:  # its roles must end by themselves, or the data folder stays locked for the next start
        os.kill(node.process.pid, signal.SIGKILL)
        node.process.wait()
        return 1, ""
    if not _is_ready(node, *_ROLES):
        return 1, f"the program did not start in turn {turn}"
    for killed, role in enumerate(rng.sample(_ROLES, len(_ROLES)), start=1):
        before = node.roles()[role]
        node.addresses.pop(role)
        os.kill(before, signal.SIGKILL)
        if not _is_ready(node, role):
            return killed, f"{role} was not started again"
        load.port = node.port
    return len(_ROLES), ""


def _is_ready(node: Program, *roles: str) -> bool:
    """Wait until `roles` are ready or the program ends; return whether they are ready."""
    wait_for(lambda: node.addresses.keys() >= set(roles) or node.process.poll() is not None, _START_S)
    return node.addresses.keys() >= set(roles)


def _wait_until_idle(place: ScratchNode, load: LoadGenerator, arrived: Mapping[str, object]) -> list[str]:
    """Let the program finish all jobs."""
    with running_program(place) as node:
        _is_ready(node, "receive")
        load.port = node.port
        load.stopping.set()
        is_idle = wait_for(
            lambda: load.stored.keys() <= arrived.keys() and ledger_check.is_idle(place.settings),
            _IDLE_TIMEOUT_S,
            pause_s=0.5,
        )
    ended = node.process.returncode
    problems = [] if is_idle else [f"not idle after {_IDLE_TIMEOUT_S:.0f} s"]
    return problems + ([] if ended == 0 else [f"the program ended with status {ended}"])
