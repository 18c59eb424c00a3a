"""Clock jumps, forwards and back, with jobs claimed, due and delayed: everything is delivered soon after."""

from contextlib import ExitStack
from datetime import timedelta

from cxr_node.db.states import Stage
from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.load import send
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.queue import claiming
from cxr_node.simulators.node import InProcessNode, wired_node
from cxr_node.simulators.pacs import SimulatedPacs

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
    promised: dict[str, str] = {}
    problems: list[str] = []
    with ExitStack() as stack:
        seconds = stack.enter_context(stopwatch())
        rejects = {"now": False}
        pacs = stack.enter_context(SimulatedPacs(status=lambda _: 0xA700 if rejects["now"] else 0))
        place = scratch.create_node(
            context.folder / "clocks",
            receive=context.receive_settings,
            database_url=stack.enter_context(context.database_url()),
            destinations={"pacs": scratch.to_pacs(pacs.port)},
            sections={"compose": {"study_quiet_s": 2.0}},
        )
        node = stack.enter_context(wired_node(place.settings, network=ScratchNetwork))
        jumps = _JUMPS[-context.amounts.clock_jumps :]
        for number, jump in enumerate(jumps):
            context.on_progress("clock jumps", number, len(jumps))
            rejects["now"] = True
            _send(context, node, promised)
            node.pass_time(timedelta(seconds=30))  # a delivery, delayed by a PACS that is out of resources
            _send(context, node, promised)
            node.workers[Stage.READ].turn()  # a study that is read and waits for its quiet time
            _send(context, node, promised)
            _claim_by_lost_host(node, place.settings.read.lease_s)  # a lease whose worker died with its host
            rejects["now"] = False
            node.clock.now += jump
            node.pass_time(_SOON)
            late = promised.keys() - pacs.by_study.keys()
            if late:
                problems.append(f"{len(late)} films are not delivered {_SOON} after the clock jumped by {jump}")
            ledger = ledger_check.check(place.settings, promised, pacs.by_study)
            if ledger.confirmed != len(promised) - len(late):
                problems.append(f"by the ledger not every film is delivered after the clock jumped by {jump}")
        ledger = ledger_check.check(place.settings, promised, pacs.by_study)
    return GroupResult.of(
        ledger,
        group=GROUP,
        database=context.kind,
        faults=len(jumps),
        problems=(*problems, *pacs.changed),
        seconds=seconds(),
    )


def _send(context: FaultContext, node: InProcessNode, promised: dict[str, str]) -> None:
    film = context.films.make(40_000_000 + len(promised))
    if send(film, node.port) == 0:
        promised[str(film.StudyInstanceUID)] = str(film.SOPInstanceUID)


def _claim_by_lost_host(node: InProcessNode, lease_s: float) -> None:
    with node.database.write() as transaction:
        claiming.claim(transaction, Stage.READ, owner="lost/read/1", lease=timedelta(seconds=lease_s), now=node.clock())
