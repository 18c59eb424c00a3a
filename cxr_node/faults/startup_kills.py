"""`kill -9` of a node at its first start, at checkpoints of schema creation; the next start must work."""

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.kills import is_of_first_start
from cxr_node.faults.load import send, wait_for
from cxr_node.faults.node_process import NodePlan, node_process
from cxr_node.faults.outcome import GroupResult, LedgerResult, total
from cxr_node.faults.steps import Fault
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "kill -9 at the first start"
_REPORT_S = 60.0
_SHARE = 10
"""Kills of the group `kills` per kill of a first start."""


def run(context: FaultContext) -> GroupResult:
    """Kill new nodes while they create their schema; the next start of each must report a film."""
    group = GroupRun(context, GROUP)
    with SimulatedPacs() as pacs:
        steps, first = _run_one(context, pacs, 0, None)
        fatal = context.rng(GROUP).sample(steps, min(len(steps), max(1, context.amounts.kills // _SHARE)))
        results = [first]
        for number, step in enumerate(sorted(fatal), start=1):
            context.on_progress("first starts", number, len(fatal))
            results.append(_run_one(context, pacs, number, Fault(step=step))[1])
    notes = (f"the schema is created in {len(steps)} checkpoints",)
    return group.result(total(results), faults=len(fatal), notes=notes)


def _run_one(
    context: FaultContext, pacs: SimulatedPacs, number: int, fault: Fault | None
) -> tuple[list[str], LedgerResult]:
    """Return the checkpoints of schema creation, and the ledger of a new node whose first start had `fault`."""
    film = context.films.make(10_000_000 + number)
    study = str(film.StudyInstanceUID)
    destinations = {"pacs": scratch.to_pacs(pacs.port)}
    with context.node(f"first-start-{number}", destinations=destinations) as place:
        steps: set[str] = set()
        if fault is not None:
            with node_process(NodePlan(place=place, faults=(fault,))) as killed:
                killed.wait(1.0)
            steps |= killed.steps
        with node_process(NodePlan(place=place)) as node:
            stored = send(film, node.port) == 0 if node.port else False
            wait_for(lambda: study in pacs.by_study and ledger_check.is_idle(place.settings), _REPORT_S)
            node.stop()
        steps |= node.steps
        arrived = {study: pacs.by_study.get(study, {})}
        ledger = ledger_check.check(place.settings, {study: str(film.SOPInstanceUID)}, arrived)
        place.clear()
    no_success = () if stored else (f"no Success at the start after {fault.step if fault else 'none'}",)
    of_schema = sorted(step for step in steps if is_of_first_start(step))
    return of_schema, total([ledger, LedgerResult(films=0, confirmed=0, lost=(), duplicated=(), problems=no_success)])
