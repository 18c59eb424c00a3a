"""A clock that jumps, forwards and back, while jobs are held, due and kept: nothing waits for ever."""

from contextlib import ExitStack
from datetime import timedelta

from cxr_node.db.states import Stage
from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.load import send
from cxr_node.faults.outcome import Outcome
from cxr_node.faults.simulated_node import SimulatedNode, simulated_node
from cxr_node.queue import queue
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "clock jumps"
_JUMPS = (
    *(timedelta(seconds=seconds) for seconds in (-1, 1, -30, 30, -600, 600)),
    *(timedelta(hours=hours) for hours in (-1, 1, -25, 25)),
    *(timedelta(days=days) for days in (-400, 400, 4000, -4000)),
)
_SOON = timedelta(minutes=75)
"""Within this time after a jump, by the clock that jumped, everything must be done: the longest wait and a little."""


def run(bench: FaultContext) -> Outcome:
    """Let the clock jump with a film in each state, and look whether all are delivered soon after."""
    promised: dict[str, str] = {}
    problems: list[str] = []
    with ExitStack() as stack:
        seconds = stack.enter_context(stopwatch())
        refuses = {"now": False}
        pacs = stack.enter_context(SimulatedPacs(status=lambda _: 0xA700 if refuses["now"] else 0))
        place = scratch.place(
            bench.folder / "clocks",
            receives=bench.receives,
            database_url=stack.enter_context(bench.database_url()),
            destinations={"pacs": scratch.to_pacs(pacs.port)},
            sections={"compose": {"study_quiet_s": 2.0}},
        )
        node = stack.enter_context(simulated_node(place))
        jumps = _JUMPS[-bench.amounts.jumps :]
        for number, jump in enumerate(jumps):
            bench.tell("clock jumps", number, len(jumps))
            refuses["now"] = True
            _send(bench, node, promised)
            node.pass_time(timedelta(seconds=30))  # on its way, put off by a PACS without room
            _send(bench, node, promised)
            node.workers[Stage.READ].turn()  # read, to be composed after the calm
            _send(bench, node, promised)
            _claim_and_die(node)  # in the hands of a worker that died with its host
            refuses["now"] = False
            node.clock.now += jump
            node.pass_time(_SOON)
            late = promised.keys() - pacs.by_study.keys()
            if late:
                problems.append(f"{len(late)} films are not delivered {_SOON} after the clock jumped by {jump}")
            drawn = ledger_check.drawn(place.settings, promised, pacs.by_study)
            if drawn.confirmed != len(promised) - len(late):
                problems.append(f"the ledger does not say delivered after the clock jumped by {jump}")
        drawn = ledger_check.drawn(place.settings, promised, pacs.by_study)
    return Outcome(
        group=GROUP,
        database=bench.kind,
        faults=len(jumps),
        films=drawn.films,
        confirmed=drawn.confirmed,
        lost=len(drawn.lost),
        doubled=len(drawn.doubled),
        problems=(*problems, *drawn.problems, *pacs.changed),
        seconds=seconds(),
    )


def _send(bench: FaultContext, node: SimulatedNode, promised: dict[str, str]) -> None:
    film = bench.films.make(40_000_000 + len(promised))
    if send(film, node.port) == 0:
        promised[str(film.StudyInstanceUID)] = str(film.SOPInstanceUID)


def _claim_and_die(node: SimulatedNode) -> None:
    lease = timedelta(seconds=node.settings.read.lease_s)
    with node.database.write() as transaction:
        queue.claim(transaction, Stage.READ, owner="elsewhere/read/1", lease=lease, now=node.clock())
