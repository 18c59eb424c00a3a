"""`kill -9` of the installed program: all of it, its supervisor alone, or one role, at random moments under load."""

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
from cxr_node.faults.load import Load, flowing, wait_for
from cxr_node.faults.outcome import Outcome
from cxr_node.faults.scratch import Place
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "kill -9 of the program, its supervisor or a role"
_ROLES = ("receive", "read", "deliver")
"""All but the page, whose port another node may have."""
_START_S = 120.0
_LONGEST_S = 12.0
_REST_S = 240.0
_END_S = 30.0


@dataclass(slots=True)
class Program:
    """The running program: `addresses` has the roles that are ready, with where they listen."""

    process: "subprocess.Popen[str]"
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """The port on which it receives, 0 as long as it does not."""
        return int(self.addresses.get("receive", ":0").rpartition(":")[2])

    def listen(self) -> None:
        """Take in which roles are ready, until the program ends."""
        for line in self.process.stdout or ():
            said = json.loads(line)
            self.addresses[said["role"]] = said["address"]

    def roles(self) -> dict[str, int]:
        """Return the process of each role that is alive."""
        found: dict[str, int] = {}
        parent = self.process.pid
        listed = Path(f"/proc/{parent}/task/{parent}/children")
        for child in listed.read_text().split() if listed.exists() else ():
            words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            if "role" in words:
                found[words[words.index("role") + 1]] = int(child)
        return found

    def kill(self) -> None:
        """End every process of it at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def program(place: Place) -> Iterator[Program]:
    """Run the program while the block lasts."""
    with place.log.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
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
    started = Program(process)
    listener = threading.Thread(target=started.listen, daemon=True)
    listener.start()
    try:
        yield started
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                started.kill()
        listener.join(5)
        if process.stdout is not None:
            process.stdout.close()


def run(bench: FaultContext) -> Outcome:
    """Kill the program in turn as a whole, without its supervisor's roles, and role by role; draw the balance."""
    kills, chance = bench.amounts.supervised_kills, bench.chance(GROUP)
    if not kills:
        return Outcome(group=GROUP, database=bench.kind, skipped="only in the long form")
    problems: list[str] = []
    with ExitStack() as stack:
        seconds, pacs = stack.enter_context(stopwatch()), stack.enter_context(SimulatedPacs())
        place = scratch.place(
            bench.folder / "supervised",
            receives={**bench.receives, **_shared_port(bench.processes)},
            database_url=stack.enter_context(bench.database_url()),
            destinations={"pacs": scratch.to_pacs(pacs.port)},
        )
        traffic = Load(films=bench.films, offered=20_000_000, most_under_way=3)
        traffic.arrived = lambda: len(traffic.stored.keys() & pacs.by_study.keys())
        stack.enter_context(flowing(traffic))
        done = turn = 0
        while done < kills and not problems:
            bench.tell("kills of the program", done, kills)
            with program(place) as node:
                killed, problem = _kill(node, traffic, turn, chance)
                done, turn, traffic.port = done + killed, turn + 1, 0
                problems += [problem] if problem else []
        problems += _rest(place, traffic, pacs.by_study)
        result = ledger_check.drawn(place.settings, traffic.stored, pacs.by_study)
    return Outcome(
        group=GROUP,
        database=bench.kind,
        faults=done,
        films=result.films,
        confirmed=result.confirmed,
        lost=len(result.lost),
        doubled=len(result.doubled),
        problems=(*problems, *result.problems),
        seconds=seconds(),
    )


def _shared_port(processes: int) -> dict[str, object]:
    """Return the settings of so many processes on one port, which must be named: one that was free a moment ago."""
    if processes == 1:
        return {}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return {"processes": processes, "port": probe.getsockname()[1]}


def _kill(node: Program, traffic: Load, turn: int, chance: Random) -> tuple[int, str]:
    """Kill something of a program under load; return how often, and what went wrong."""
    if not wait_for(lambda: bool(node.port) or node.process.poll() is not None, _START_S) or not node.port:
        return 1, f"the program did not start in turn {turn}"
    traffic.port = node.port
    threading.Event().wait(chance.uniform(0, _LONGEST_S))
    if turn % 3 == 0:
        node.kill()
        return 1, ""
    if turn % 3 == 1:  # its roles must end by themselves, or the next start finds the folder locked
        os.kill(node.process.pid, signal.SIGKILL)
        node.process.wait()
        return 1, ""
    if not wait_for(lambda: len(node.addresses) == len(_ROLES), _START_S):
        return 1, f"the program did not start in turn {turn}"
    for killed, role in enumerate(chance.sample(_ROLES, len(_ROLES)), start=1):
        before = node.roles()[role]
        node.addresses.pop(role)
        os.kill(before, signal.SIGKILL)
        if not wait_for(lambda: role in node.addresses, _START_S):  # noqa: B023  # called within this turn of the loop
            return killed, f"{role} was not started again"
        traffic.port = node.port
    return len(_ROLES), ""


def _rest(place: Place, traffic: Load, arrived: Mapping[str, object]) -> list[str]:
    """Let the program finish what was left."""
    with program(place) as node:
        wait_for(lambda: bool(node.port) or node.process.poll() is not None, _START_S)
        traffic.port = node.port
        traffic.ended.set()
        rested = wait_for(
            lambda: traffic.stored.keys() <= arrived.keys() and ledger_check.is_at_rest(place.settings),
            _REST_S,
            pause_s=0.5,
        )
    ended = node.process.returncode
    problems = [] if rested else [f"not at rest after {_REST_S:.0f} s"]
    return problems + ([] if ended == 0 else [f"the program ended with status {ended}"])
