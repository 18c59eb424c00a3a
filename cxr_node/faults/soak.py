"""A day of a hospital in minutes: films as they come through day and night, a PACS in maintenance, what is old goes."""

import math
import os
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.load import send
from cxr_node.faults.outcome import Outcome
from cxr_node.faults.simulated_node import SimulatedNode, simulated_node
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "a compressed soak"
_FILMS_AN_HOUR = (2, 30)
"""At four in the morning, and at four in the afternoon."""
_STEP = timedelta(minutes=10)
_KEPT = timedelta(hours=6)
_MAINTENANCE = range(60, 66)
"""The ten minutes of each day, by number, in which the PACS has no room: an hour from ten o'clock on."""
_GROWTH_BYTES = 64 << 20
_MORE_FILES = 20


def run(bench: FaultContext) -> Outcome:
    """Let hours of traffic pass over one node, and look at what it has grown by."""
    promised: dict[str, str] = {}
    problems: list[str] = []
    steps = math.ceil(timedelta(hours=bench.amounts.soak_hours) / _STEP)
    refuses = {"now": False}
    removed = refusals = 0
    with ExitStack() as stack:
        seconds = stack.enter_context(stopwatch())
        pacs = stack.enter_context(SimulatedPacs(status=lambda _: 0xA700 if refuses["now"] else 0))
        place = scratch.place(
            bench.folder / "soak",
            receives=bench.receives,
            database_url=stack.enter_context(bench.database_url()),
            destinations={"pacs": scratch.to_pacs(pacs.port, confirm="find", confirm_again_s=60.0)},
            sections={"compose": {"study_quiet_s": 2.0}},
        )
        node = stack.enter_context(simulated_node(place))
        sizes = [_size()]
        for step in range(steps):
            bench.tell("ten minutes of traffic", step, steps)
            refuses["now"] = step % 144 in _MAINTENANCE
            refusals += refuses["now"]
            for _ in range(_films(step)):
                _send(bench, node, promised, problems)
            node.pass_time(_STEP)
            removed += node.remove_old(_KEPT)
            sizes.append(_size())
        refuses["now"] = False
        node.pass_time(timedelta(hours=2))
        drawn = ledger_check.drawn(place.settings, promised, pacs.by_study)
    (memory_early, files_early), (memory, files) = sizes[len(sizes) // 4], sizes[-1]
    if memory - memory_early > _GROWTH_BYTES or files - files_early > _MORE_FILES:
        problems.append(f"grew from {memory_early >> 20} MiB, {files_early} files to {memory >> 20} MiB, {files} files")
    return Outcome(
        group=GROUP,
        database=bench.kind,
        faults=refusals,
        films=drawn.films,
        confirmed=drawn.confirmed,
        lost=len(drawn.lost),
        doubled=len(drawn.doubled),
        problems=(*problems, *drawn.problems, *pacs.changed),
        notes=(
            f"{bench.amounts.soak_hours:g} hours; the films of {removed} studies removed {_KEPT} after their delivery",
            f"resident memory {memory_early >> 20} MiB after a quarter, {memory >> 20} MiB at the end",
        ),
        seconds=seconds(),
    )


def _films(step: int) -> int:
    """Return how many films come in the ten minutes `step`, counted from noon."""
    least, most = _FILMS_AN_HOUR
    hour = 12 + step / 6
    share = 0.5 - 0.5 * math.cos((hour - 4) / 24 * 2 * math.pi)
    an_hour = least + (most - least) * share
    return round(an_hour / 6 * (step + 1)) - round(an_hour / 6 * step)


def _send(bench: FaultContext, node: SimulatedNode, promised: dict[str, str], problems: list[str]) -> None:
    film = bench.films.make(80_000_000 + len(promised))
    status = send(film, node.port)
    if status == 0:
        promised[str(film.StudyInstanceUID)] = str(film.SOPInstanceUID)
    else:
        problems.append(f"a film got status {status}")


def _size() -> tuple[int, int]:
    """Return this process's resident memory in bytes, and how many files it holds open."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path("/proc/self/fd").iterdir()))
