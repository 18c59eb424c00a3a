"""`kill -9` of the installed program under load: of all processes, the supervisor alone, or a role; roles stopped."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.load import LoadGenerator, running
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch import ScratchNode
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.program import ROLES, Program

GROUP = "kill -9 of the program, its supervisor or a role; roles stopped"
_HEARTBEAT = {"schedule": {"heartbeat_timeout_s": 5.0}}
_START_S = 600.0
"""Upper bound for a busy machine. A program that ends is noticed at once."""
_LONGEST_S = 12.0
_IDLE_TIMEOUT_S = 240.0


def run(context: FaultContext) -> GroupResult:
    """Kill in turn all processes, the supervisor alone, each role, and stop each role; check the ledger."""
    kills, rng = context.amounts.program_kills, context.rng(GROUP)
    if not kills:
        return GroupResult(group=GROUP, database=context.kind, skipped="not in the short form")
    group = GroupRun(context, GROUP)
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        port = shared_port(context.receive_processes)
        destinations = {"pacs": scratch.to_pacs(pacs.port)}
        place = stack.enter_context(
            context.node("supervised", destinations=destinations, sections=_HEARTBEAT, receive=port)
        )
        load = LoadGenerator(films=context.films, stored=group.promised, next_film=20_000_000, max_in_flight=3)
        load.reported_count = lambda: len(load.stored.keys() & pacs.by_study.keys())
        stack.enter_context(running(load))
        kills_done = turn = 0
        while kills_done < kills and not group.problems:
            context.on_progress("kills of the program", kills_done, kills)
            with running_program(place) as node:
                killed, problem = _kill(node, load, turn, rng)
                kills_done, turn, load.port = kills_done + killed, turn + 1, 0
                group.problems += [f"{problem}; {node.state()}"] if problem else []
        group.problems += _wait_until_idle(place, load, pacs)
        ledger = group.check_ledger(place, pacs)
    return group.result(ledger, faults=kills_done)


@contextmanager
def running_program(place: ScratchNode) -> Iterator[Program]:
    """Run the program while the block lasts; kill it if it does not stop in time."""
    with suppress(subprocess.TimeoutExpired), Program(place.config, log=place.log) as program:
        yield program


def shared_port(processes: int) -> dict[str, object]:
    """Return the settings of several processes on one port: one that was free a moment ago."""
    if processes == 1:
        return {}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return {"processes": processes, "port": probe.getsockname()[1]}


def _kill(node: Program, load: LoadGenerator, turn: int, rng: Random) -> tuple[int, str]:
    """Kill processes of a program under load; return the number of kills, and a problem or an empty string."""
    if not node.wait_until_ready("receive", timeout_s=_START_S):
        return 1, f"the program did not start in turn {turn}"
    load.port = node.port
    threading.Event().wait(rng.uniform(0, _LONGEST_S))
    if turn % 4 == 0:
        node.kill()
        return 1, ""
    if turn % 4 == 1:  # its roles must end by themselves, or the data folder stays locked for the next start
        os.kill(node.process.pid, signal.SIGKILL)
        node.process.wait()
        return 1, ""
    if not node.wait_until_ready(*ROLES, timeout_s=_START_S):
        return 1, f"the program did not start in turn {turn}"
    for killed, role in enumerate(rng.sample(ROLES, len(ROLES)), start=1):
        before = role_processes(node.process.pid)[role]
        node.addresses.pop(role)
        # A stopped process is restarted once it has given no heartbeat for five seconds.
        os.kill(before, signal.SIGKILL if turn % 4 == 2 else signal.SIGSTOP)
        if not node.wait_until_ready(role, timeout_s=_START_S):
            return killed, f"{role} was not started again"
        load.port = node.port
    return len(ROLES), ""


def role_processes(supervisor: int) -> dict[str, int]:
    """Return the process ID of each running role."""
    processes: dict[str, int] = {}
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children")
    for child in children.read_text().split() if children.exists() else ():
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode().replace("\0", " ").split()
        if "role" in words:
            processes[words[words.index("role") + 1]] = int(child)
    return processes


def _wait_until_idle(place: ScratchNode, load: LoadGenerator, pacs: SimulatedPacs) -> list[str]:
    """Let the program finish all jobs."""
    with running_program(place) as node:
        node.wait_until_ready("receive", timeout_s=_START_S)
        load.port = node.port
        load.stopping.set()
        problems = ledger_check.wait_until_idle(place.settings, load.stored, pacs, _IDLE_TIMEOUT_S, pause_s=0.5)
    ended = node.process.returncode
    return problems + ([] if ended == 0 else [f"the program ended with status {ended}"])
