"""Faults of a worklist manager: away, silent, failing, lying; each step is performed once all the same."""

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta

from cxr_node.faults import scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.simulators.node import InProcessNode, wired_node
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.web_worklist import SimulatedWebWorklist
from cxr_node.simulators.worklist import SimulatedWorklist
from cxr_node.simulators.worklist_steps import Mode, Step, step_uid

DIMSE = "worklist manager away, silent, failing, lying"
WEB = "worklist manager by UPS-RS away, silent, failing, lying"
_TIMEOUT_S = 2.0
_FAULT, _RECOVERY = timedelta(minutes=11), timedelta(minutes=31)
"""Two and six runs of the performer, of which a simulated node has one in five minutes."""
_PERFORMED = ["SCHEDULED", "IN PROGRESS", "COMPLETED"]


def dimse(context: FaultContext) -> GroupResult:
    """Run the faults of a manager by DIMSE."""
    with SimulatedWorklist(port=scratch.free_port()) as manager:
        settings = scratch.worklist(manager.port, timeout_s=_TIMEOUT_S)
        return _run(context, DIMSE, manager, settings, first_film=43_000)


def web(context: FaultContext) -> GroupResult:
    """Run the faults of a manager by UPS-RS."""
    with SimulatedWebWorklist() as manager:
        settings = scratch.web_worklist(manager.url, timeout_s=_TIMEOUT_S)
        return _run(context, WEB, manager, settings, first_film=45_000)


def _run(
    context: FaultContext,
    name: str,
    manager: SimulatedWorklist | SimulatedWebWorklist,
    settings: Mapping[str, object],
    *,
    first_film: int,
) -> GroupResult:
    """Schedule a step before each fault, send its film during it; after it the step must be completed, and once."""
    faults = [mode for mode in Mode if mode is not Mode.RIGHT]
    if context.amounts.aborts < len(faults):
        faults = faults[::3]
    group = GroupRun(context, name, first_film=first_film)
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        sections = {"ups": {"worklists": [settings]}}
        place = stack.enter_context(
            context.node(
                f"worklist-{settings['kind']}", destinations={"pacs": scratch.to_pacs(pacs.port)}, sections=sections
            )
        )
        node: InProcessNode = stack.enter_context(wired_node(place.settings, network=ScratchNetwork))
        for number, fault in enumerate((None, *faults)):
            label = fault or "away"
            context.on_progress(f"worklist {settings['kind']} {label}", number, len(faults) + 1)
            manager.add(step_uid(number), [context.films.make(first_film + number)])
            if fault is None:
                manager.stop()
            else:
                manager.mode = fault
            node.pass_time(_FAULT)
            group.store(node.port)
            node.pass_time(_FAULT)
            if fault is None:
                manager.start()
            manager.mode = Mode.RIGHT
            node.pass_time(_RECOVERY)
            group.problems += wrong_step(str(label), manager.steps[step_uid(number)], pacs)
        ledger = group.check_ledger(place, pacs)
    return group.result(ledger, faults=len(faults) + 1)


def wrong_step(name: str, step: Step, pacs: SimulatedPacs) -> list[str]:
    """Return a sentence if a step was not completed once, or if its outputs are not the reports of its study."""
    if step.states != _PERFORMED:
        return [f"{name}: the step was {', '.join(step.states)}"]
    reports = pacs.by_study.get(str(step.attributes.StudyInstanceUID), {})
    return [] if step.outputs and set(step.outputs) == reports.keys() else [f"{name}: an output is not in the PACS"]
