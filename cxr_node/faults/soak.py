"""Compressed soak: a day of films by day and night, a PACS under maintenance, and retention, in minutes."""

import math
import os
from contextlib import ExitStack
from datetime import timedelta

from cxr_node.faults import scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.process_usage import Usage
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.simulators.node import wired_node
from cxr_node.simulators.pacs import OUT_OF_RESOURCES, SUCCESS, SimulatedPacs
from cxr_node.work.periodic import retention

GROUP = "a compressed soak"
_FILMS_AN_HOUR = (2, 30)
"""At four in the morning and at four in the afternoon."""
_STEP = timedelta(minutes=10)
_KEPT = timedelta(hours=6)
_MAINTENANCE = range(60, 66)
"""Steps of each day, from noon, in which the PACS is out of resources: an hour from ten in the evening on."""
_GROWTH_BYTES = 64 << 20


def run(context: FaultContext) -> GroupResult:
    """Run hours of films through one node; check its growth in memory and open files."""
    group = GroupRun(context, GROUP, first_film=80_000_000)
    steps = math.ceil(timedelta(hours=context.amounts.soak_hours) / _STEP)
    removed = rejections = 0
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        place = stack.enter_context(
            context.node(
                "soak",
                destinations={"pacs": scratch.to_pacs(pacs.port, confirm="find", confirm_again_s=60.0)},
                sections={"compose": {"study_quiet_s": 2.0}},
            )
        )
        node = stack.enter_context(wired_node(place.settings, network=ScratchNetwork))
        usage = [Usage.of(os.getpid())]
        for step in range(steps):
            context.on_progress("ten minutes of films", step, steps)
            rejects = step % 144 in _MAINTENANCE
            pacs.status = OUT_OF_RESOURCES if rejects else SUCCESS
            rejections += rejects
            for _ in range(_films(step)):
                group.store(node.port)
            node.pass_time(_STEP)
            removed += retention.remove_expired(node.database, node.archive, keep=_KEPT, clock=node.clock)
            usage.append(Usage.of(os.getpid()))
        pacs.status = SUCCESS
        node.pass_time(timedelta(hours=2))
        ledger = group.check_ledger(place, pacs)
    early, last = usage[len(usage) // 4], usage[-1]
    notes = (
        f"{context.amounts.soak_hours:g} hours; films of {removed} studies removed {_KEPT} after delivery",
        f"{early} after a quarter, {last} at the end",
    )
    problems = [*early.growth(last, limit_bytes=_GROWTH_BYTES), *pacs.changed]
    return group.result(ledger, faults=rejections, notes=notes, problems=problems)


def _films(step: int) -> int:
    """Return the number of films in ten-minute step `step`, counted from noon."""
    least, most = _FILMS_AN_HOUR
    hour = 12 + step / 6
    share = 0.5 - 0.5 * math.cos((hour - 4) / 24 * 2 * math.pi)
    an_hour = least + (most - least) * share
    return round(an_hour / 6 * (step + 1)) - round(an_hour / 6 * step)
