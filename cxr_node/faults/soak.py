"""Compressed soak: a day of films by day and night, a PACS under maintenance, and retention, in minutes."""

import math
import os
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.load import send
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.simulators.node import InProcessNode, wired_node
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.work.periodic import retention

GROUP = "a compressed soak"
_FILMS_AN_HOUR = (2, 30)
"""At four in the morning and at four in the afternoon."""
_STEP = timedelta(minutes=10)
_KEPT = timedelta(hours=6)
_MAINTENANCE = range(60, 66)
"""Steps of each day, from noon, in which the PACS is out of resources: an hour from ten in the evening on."""
_GROWTH_BYTES = 64 << 20
_MORE_FILES = 20


def run(context: FaultContext) -> GroupResult:
    """Run hours of films through one node; check its growth in memory and open files."""
    promised: dict[str, str] = {}
    problems: list[str] = []
    steps = math.ceil(timedelta(hours=context.amounts.soak_hours) / _STEP)
    rejects = {"now": False}
    removed = rejections = 0
    with ExitStack() as stack:
        seconds = stack.enter_context(stopwatch())
        pacs = stack.enter_context(SimulatedPacs(status=lambda _: 0xA700 if rejects["now"] else 0))
        place = scratch.create_node(
            context.folder / "soak",
            receive=context.receive_settings,
            database_url=stack.enter_context(context.database_url()),
            destinations={"pacs": scratch.to_pacs(pacs.port, confirm="find", confirm_again_s=60.0)},
            sections={"compose": {"study_quiet_s": 2.0}},
        )
        node = stack.enter_context(wired_node(place.settings, network=ScratchNetwork))
        sizes = [_size()]
        for step in range(steps):
            context.on_progress("ten minutes of films", step, steps)
            rejects["now"] = step % 144 in _MAINTENANCE
            rejections += rejects["now"]
            for _ in range(_films(step)):
                _send(context, node, promised, problems)
            node.pass_time(_STEP)
            removed += retention.remove_expired(node.database, node.archive, keep=_KEPT, clock=node.clock)
            sizes.append(_size())
        rejects["now"] = False
        node.pass_time(timedelta(hours=2))
        ledger = ledger_check.check(place.settings, promised, pacs.by_study)
    (memory_early, files_early), (memory, files) = sizes[len(sizes) // 4], sizes[-1]
    if memory - memory_early > _GROWTH_BYTES or files - files_early > _MORE_FILES:
        problems.append(f"grew from {memory_early >> 20} MiB, {files_early} files to {memory >> 20} MiB, {files} files")
    return GroupResult.of(
        ledger,
        group=GROUP,
        database=context.kind,
        faults=rejections,
        problems=(*problems, *pacs.changed),
        notes=(
            f"{context.amounts.soak_hours:g} hours; films of {removed} studies removed {_KEPT} after delivery",
            f"resident memory {memory_early >> 20} MiB after a quarter, {memory >> 20} MiB at the end",
        ),
        seconds=seconds(),
    )


def _films(step: int) -> int:
    """Return the number of films in ten-minute step `step`, counted from noon."""
    least, most = _FILMS_AN_HOUR
    hour = 12 + step / 6
    share = 0.5 - 0.5 * math.cos((hour - 4) / 24 * 2 * math.pi)
    an_hour = least + (most - least) * share
    return round(an_hour / 6 * (step + 1)) - round(an_hour / 6 * step)


def _send(context: FaultContext, node: InProcessNode, promised: dict[str, str], problems: list[str]) -> None:
    film = context.films.make(80_000_000 + len(promised))
    status = send(film, node.port)
    if status == 0:
        promised[str(film.StudyInstanceUID)] = str(film.SOPInstanceUID)
    else:
        problems.append(f"a film got status {status}")


def _size() -> tuple[int, int]:
    """Return the resident memory of this process in bytes, and its number of open files."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path("/proc/self/fd").iterdir()))
