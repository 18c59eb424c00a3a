"""Clock jumps, forwards and back, with jobs claimed, due and delayed: everything is delivered soon after."""

from contextlib import ExitStack
from datetime import timedelta

from cxr_node.db.states import Stage
from cxr_node.faults import scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.queue import claiming
from cxr_node.simulators.node import InProcessNode, wired_node
from cxr_node.simulators.pacs import OUT_OF_RESOURCES, SUCCESS, SimulatedPacs

GROUP = "clock jumps"
_JUMPS = (
    *(timedelta(seconds=seconds) for seconds in (-1, 1, -30, 30, -600, 600)),
    *(timedelta(hours=hours) for hours in (-1, 1, -25, 25)),
    *(timedelta(days=days) for days in (-400, 400, 4000, -4000)),
)
_SOON = timedelta(minutes=75)
"""Deadline after a jump, by the clock that jumped: a little more than the longest wait of any job."""


def run(context: FaultContext) -> GroupResult:
    """Let the clock jump with a film in each state; check that all are delivered soon after."""
    group = GroupRun(context, GROUP, first_film=40_000_000)
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        place = stack.enter_context(
            context.node(
                "clocks",
                destinations={"pacs": scratch.to_pacs(pacs.port)},
                sections={"compose": {"study_quiet_s": 2.0}},
            )
        )
        node = stack.enter_context(wired_node(place.settings, network=ScratchNetwork))
        jumps = _JUMPS[-context.amounts.clock_jumps :]
        for number, jump in enumerate(jumps):
            context.on_progress("clock jumps", number, len(jumps))
            pacs.status = OUT_OF_RESOURCES
            group.send(node.port)
            node.pass_time(timedelta(seconds=30))  # a delivery, delayed by a PACS that is out of resources
            group.send(node.port)
            node.workers[Stage.READ].turn()  # a study that is read and waits for its quiet time
            group.send(node.port)
            _claim_by_lost_host(node, place.settings.read.lease_s)  # a lease whose worker died with its host
            pacs.status = SUCCESS
            node.clock.now += jump
            node.pass_time(_SOON)
            late = group.promised.keys() - pacs.by_study.keys()
            if late:
                group.problems.append(f"{len(late)} films are not delivered {_SOON} after the clock jumped by {jump}")
            if group.check_ledger(place, pacs).confirmed != len(group.promised) - len(late):
                group.problems.append(f"by the ledger not every film is delivered after the clock jumped by {jump}")
        ledger = group.check_ledger(place, pacs)
    return group.result(ledger, faults=len(jumps), problems=pacs.changed)


def _claim_by_lost_host(node: InProcessNode, lease_s: float) -> None:
    with node.database.write() as transaction:
        claiming.claim(transaction, Stage.READ, owner="lost/read/1", lease=timedelta(seconds=lease_s), now=node.clock())
