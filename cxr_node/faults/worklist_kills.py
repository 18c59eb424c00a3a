"""`kill -9` of one of two nodes that perform the steps of one worklist, at each known checkpoint.

Each node has its own database. The archive sends the films of a step to the node that has claimed it.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import FileDataset

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.kills import KillPoints
from cxr_node.faults.load import send, wait_for
from cxr_node.faults.node_process import NodePlan, NodeProcess, node_process
from cxr_node.faults.outcome import GroupResult, total
from cxr_node.faults.scratch import ScratchNode
from cxr_node.faults.worklist_modes import wrong_step
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.web_worklist import SimulatedWebWorklist
from cxr_node.simulators.worklist import SimulatedWorklist
from cxr_node.simulators.worklist_steps import CANCELED, COMPLETED, IN_PROGRESS, step_uid

DIMSE, WEB = "kill -9 of one of two nodes of a worklist", "kill -9 of one of two nodes of a worklist by UPS-RS"
_Manager = SimulatedWorklist | SimulatedWebWorklist
_KILLED, _OTHER = "NODEA", "NODEB"
_EVERY_S = {_KILLED: 0.2, _OTHER: 1.0}
"""Interval at which each asks the worklist: the one that is killed claims most steps."""
_LONGEST_S = 10.0
"""A node that has not reached the chosen checkpoint by then is killed at that moment instead."""
_DISCOVERY_S = 3.0
_IDLE_TIMEOUT_S = 180.0
_PAUSE_S = 0.02
_TABLE = "procedure_step"
_SHARE = 0.2
"""Share of the other checkpoints at which the node is killed as well."""


@dataclass(slots=True, kw_only=True)
class _Archive:
    """Sends the film of each step in progress to the node that has claimed it, until it accepts.

    `ports` are those of the nodes by AE title, 0 while one is down; `sent` has the Study and SOP Instance UID of films
    with Success, by AE title.
    """

    manager: _Manager
    films: dict[str, FileDataset]
    ports: dict[str, int] = field(default_factory=dict)
    sent: dict[str, dict[str, str]] = field(default_factory=lambda: {_KILLED: {}, _OTHER: {}})
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Go on until `stopping` is set."""
        while not self.stopping.wait(_PAUSE_S):
            for uid, step in list(self.manager.steps.items()):
                film = self.films[uid]
                study = str(film.StudyInstanceUID)
                port = self.ports.get(step.performer, 0)
                if step.state != IN_PROGRESS or not port or study in self.sent[step.performer]:
                    continue
                if send(film, port) == 0:
                    self.sent[step.performer][study] = str(film.SOPInstanceUID)


@contextmanager
def _sending(archive: _Archive) -> Iterator[None]:
    thread = threading.Thread(target=archive.run, name="archive", daemon=True)
    thread.start()
    try:
        yield
    finally:
        archive.stopping.set()
        thread.join(30.0)


def dimse(context: FaultContext) -> GroupResult:
    """Kill one node repeatedly while two perform all steps of a manager by DIMSE."""
    return _run(context, DIMSE, SimulatedWorklist(), steps=context.amounts.worklist_steps, first_film=44_000)


def web(context: FaultContext) -> GroupResult:
    """Kill one node repeatedly while two perform a quarter as many steps of a manager by UPS-RS."""
    steps = max(2, context.amounts.worklist_steps // 4)
    return _run(context, WEB, SimulatedWebWorklist(), steps=steps, first_film=46_000)


def _run(context: FaultContext, name: str, manager: _Manager, *, steps: int, first_film: int) -> GroupResult:
    """Kill one node repeatedly while two perform all steps; each must be completed once, and none be in progress."""
    group, kill_points, kills = GroupRun(context, name), KillPoints(rng=context.rng(name)), 0
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        stack.enter_context(manager)
        films: dict[str, FileDataset] = {
            step_uid(number): context.films.make(first_film + number) for number in range(steps)
        }
        for uid, film in films.items():
            manager.add(uid, [film])
        places = [
            stack.enter_context(_node(context, title, manager, pacs, every_s=every_s))
            for title, every_s in _EVERY_S.items()
        ]
        archive = _Archive(manager=manager, films=films)
        stack.enter_context(_sending(archive))
        with node_process(NodePlan(place=places[1])) as other:
            archive.ports[_OTHER] = other.port
            while not kills or (not _are_ended(manager) and not other.has_ended):
                context.on_progress("kills of a performer", sum(_ended(manager)), steps)
                _kill_once(places[0], archive, kill_points)
                kills += 1
            group.problems += _finish(places, archive, other)
        results = [
            ledger_check.check(place.settings, promised, _reports_on(promised, pacs), allow_extra_films=True)
            for place, promised in zip(places, archive.sent.values(), strict=True)
        ]
    group.problems += [problem for uid, step in manager.steps.items() for problem in wrong_step(uid, step, pacs)]
    notes = (
        f"{len(kill_points.steps)} checkpoints known, kills at {len(kill_points.kills)} of them",
        f"{kill_points.random_kills} kills at random moments",
        *(
            f"{sum(step.performer == title for step in manager.steps.values())} steps of {title}"
            for title in archive.sent
        ),
    )
    return group.result(total(results), faults=kills, notes=notes)


def _node(
    context: FaultContext, title: str, manager: _Manager, pacs: SimulatedPacs, *, every_s: float
) -> AbstractContextManager[ScratchNode]:
    if isinstance(manager, SimulatedWebWorklist):
        row = scratch.web_worklist(manager.url, headers=[f"X-Performer: {title}"])
    else:
        row = scratch.worklist(manager.port, calling_ae_title=title)
    return context.node(
        f"{title}-{row['kind']}".lower(),
        destinations={"pacs": scratch.to_pacs(pacs.port)},
        sections={"ups": {"every_s": every_s, "maximum_steps": 2, "worklists": [row]}},
    )


def _kill_once(place: ScratchNode, archive: _Archive, kill_points: KillPoints) -> None:
    """Run the node until it has reached a checkpoint, at most some seconds, and kill it."""
    fault = kill_points.next_fault()
    with node_process(NodePlan(place=place, faults=(fault,) if fault else ())) as one:
        archive.ports[_KILLED] = one.port
        is_met = one.wait(_LONGEST_S if fault is not None else kill_points.rng.uniform(0.0, _DISCOVERY_S))
        archive.ports[_KILLED] = 0
        one.kill()
    kill_points.add({step for step in one.steps if _TABLE in step or kill_points.rng.random() < _SHARE})
    kill_points.count(fault, is_met=is_met)


def _finish(places: Sequence[ScratchNode], archive: _Archive, other: NodeProcess) -> tuple[str, ...]:
    """Let a node without faults end its steps beside the other; return problems."""
    with node_process(NodePlan(place=places[0])) as last:
        archive.ports[_KILLED] = last.port

        def is_done() -> bool:
            for node in (last, other):
                node.read_messages(0.0)
            if last.has_ended or other.has_ended:
                return True
            return _are_ended(archive.manager) and all(ledger_check.is_idle(place.settings) for place in places)

        is_idle = wait_for(is_done, _IDLE_TIMEOUT_S)
        archive.ports.clear()
        statuses = [node.stop() for node in (last, other)]
    problems = () if is_idle else tuple(ledger_check.not_idle(place.settings, _IDLE_TIMEOUT_S) for place in places)
    return problems if statuses == [0, 0] else (*problems, f"the last nodes ended with statuses {statuses}")


def _ended(manager: _Manager) -> list[bool]:
    return [step.state in (COMPLETED, CANCELED) for step in manager.steps.values()]


def _are_ended(manager: _Manager) -> bool:
    return all(_ended(manager))


def _reports_on(promised: Mapping[str, str], pacs: SimulatedPacs) -> Mapping[str, Mapping[str, str]]:
    return {study: pacs.by_study[study] for study in promised if study in pacs.by_study}
