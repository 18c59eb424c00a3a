"""`kill -9` of a node at its first start, at every step that makes its schema; the next start must serve."""

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.kills import is_of_first_start
from cxr_node.faults.load import send, wait_for
from cxr_node.faults.node_process import Plan, life
from cxr_node.faults.outcome import LedgerCheck, Outcome, total
from cxr_node.faults.steps import Fault
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "kill -9 at the first start"
_REPORT_S = 60.0
_SHARE = 10
"""One first start is killed for so many kills later on."""


def run(bench: FaultContext) -> Outcome:
    """Let new nodes die while they make their schema, and the next start of each take a film to its report."""
    with stopwatch() as seconds, SimulatedPacs() as pacs:
        steps, first = _one(bench, pacs, 0, None)
        fatal = bench.chance(GROUP).sample(steps, min(len(steps), max(1, bench.amounts.kills // _SHARE)))
        balances = [first]
        for number, step in enumerate(sorted(fatal), start=1):
            bench.tell("first starts", number, len(fatal))
            balances.append(_one(bench, pacs, number, Fault(step=step))[1])
    result = total(balances)
    return Outcome(
        group=GROUP,
        database=bench.kind,
        faults=len(fatal),
        films=result.films,
        confirmed=result.confirmed,
        lost=len(result.lost),
        doubled=len(result.doubled),
        problems=result.problems,
        notes=(f"the schema is made in {len(steps)} steps",),
        seconds=seconds(),
    )


def _one(bench: FaultContext, pacs: SimulatedPacs, number: int, fault: Fault | None) -> tuple[list[str], LedgerCheck]:
    """Return the steps that make the schema, and the balance of a new node whose first start met `fault`."""
    film = bench.films.make(10_000_000 + number)
    study = str(film.StudyInstanceUID)
    with bench.database_url() as url:
        place = scratch.place(
            bench.folder / f"birth-{number}",
            receives=bench.receives,
            database_url=url,
            destinations={"pacs": scratch.to_pacs(pacs.port)},
        )
        steps: set[str] = set()
        if fault is not None:
            with life(Plan(place=place, faults=(fault,))) as dead:
                dead.wait(1.0)
            steps |= dead.steps
        with life(Plan(place=place)) as alive:
            stored = send(film, alive.port) == 0 if alive.port else False
            wait_for(lambda: study in pacs.by_study and ledger_check.is_at_rest(place.settings), _REPORT_S)
            alive.stop()
        steps |= alive.steps
        arrived = {study: pacs.by_study.get(study, {})}
        drawn = ledger_check.drawn(place.settings, {study: str(film.SOPInstanceUID)}, arrived)
        place.clear()
    unserved = () if stored else (f"no Success at the start after {fault.step if fault else 'none'}",)
    made = sorted(step for step in steps if is_of_first_start(step))
    return made, total([drawn, LedgerCheck(films=0, confirmed=0, lost=(), doubled=(), problems=unserved)])
