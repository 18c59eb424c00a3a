"""`kill -9` of a whole node at each known checkpoint of each stage, and at random moments, under load."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.load import LoadGenerator, running, wait_for
from cxr_node.faults.node_process import NodePlan, NodeProcess, node_process
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch import MODALITY_TITLE, ScratchNode
from cxr_node.faults.steps import Fault
from cxr_node.simulators.commitment import CommitmentListener
from cxr_node.simulators.dicomweb import SimulatedDicomWeb
from cxr_node.simulators.fhir import SimulatedFhir
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.ris import SimulatedRis

GROUP = "kill -9 at every checkpoint"
_DISCOVERY_S = 4.0
_LONGEST_S = 2.5
"""A node that has not reached the chosen checkpoint by then is killed at that moment instead."""
_RANDOM_SHARE = 0.2
"""The share of kills at random moments."""
_IDLE_TIMEOUT_S = 180.0


@dataclass(slots=True, kw_only=True)
class KillPoints:
    """Known checkpoints, and how often a node was killed at each; `next_fault` chooses where it is killed next."""

    rng: Random
    kills: Counter[str] = field(default_factory=Counter)
    steps: set[str] = field(default_factory=set)
    random_kills: int = 0
    missed: Counter[str] = field(default_factory=Counter)

    def add(self, steps: set[str]) -> None:
        """Add the checkpoints of a run, without those of a first start, which are not reached again."""
        self.steps |= {step for step in steps if not is_of_first_start(step)}

    def next_fault(self) -> Fault | None:
        """Return the next fault: at a checkpoint with the fewest kills so far, or None for a random moment."""
        if not self.steps or self.rng.random() < _RANDOM_SHARE:
            return None
        fewest = min(self.kills[step] + self.missed[step] for step in self.steps)
        step = self.rng.choice(sorted(name for name in self.steps if self.kills[name] + self.missed[name] == fewest))
        return Fault(step=step, number=self.rng.choice((1, 1, 2, 3)))

    def count(self, fault: Fault | None, *, is_met: bool) -> None:
        """Count a kill; `is_met` if the node reached the fault."""
        if fault is not None and is_met:
            self.kills[fault.step] += 1
            return
        self.random_kills += 1
        if fault is not None:
            self.missed[fault.step] += 1


def is_of_first_start(step: str) -> bool:
    """Whether a checkpoint belongs to the creation of the schema."""
    return any(word in step for word in ("CREATE", "ALTER", "alembic_version"))


def run(context: FaultContext) -> GroupResult:
    """Kill a node under load repeatedly, let the last one finish, and check the ledger."""
    kills, kill_points = context.amounts.kills, KillPoints(rng=context.rng(GROUP))
    group = GroupRun(context, GROUP)
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        listener = stack.enter_context(CommitmentListener(MODALITY_TITLE))
        server, receiver = stack.enter_context(SimulatedDicomWeb()), stack.enter_context(SimulatedRis())
        resources = stack.enter_context(SimulatedFhir())
        destinations = {
            "pacs": scratch.to_pacs(pacs.port, confirm="commitment", confirm_again_s=1.0),
            "share": scratch.to_folder(context.folder / "kills" / "share"),
            "web": scratch.to_web(server.url, confirm="metadata", confirm_again_s=1.0),
            "ris": scratch.to_ris(receiver.port),
            "fhir": scratch.to_fhir(resources.url),
        }
        peers = {MODALITY_TITLE: listener.port}
        web_port = scratch.free_port()
        sections = {"dicomweb": scratch.web_entrance(web_port)}
        place = stack.enter_context(
            context.node("kills", destinations=destinations, commitment_peers=peers, sections=sections)
        )
        load = LoadGenerator(films=context.films, stored=group.promised, requests_commitment=True, web_port=web_port)
        load.reported_count = lambda: len(load.stored.keys() & pacs.by_study.keys())
        stack.enter_context(running(load))
        for number in range(kills):
            context.on_progress("kills", number, kills)
            fault = kill_points.next_fault() if number else None
            with node_process(NodePlan(place=place, faults=(fault,) if fault else (), maintains=True)) as one:
                load.port = one.port
                longest = _DISCOVERY_S if not number else _LONGEST_S
                is_met = one.wait(longest if fault is not None or not number else kill_points.rng.uniform(0, longest))
                load.port = 0
                one.kill()
            kill_points.add(one.steps)
            kill_points.count(fault, is_met=is_met)
        group.problems += _finish(place, load, pacs, listener)
        ledger = group.check_ledger(place, pacs)
    notes = (
        f"{len(kill_points.steps)} checkpoints known, kills at {len(kill_points.kills)} of them",
        f"{kill_points.random_kills} kills at random moments",
        f"{len(listener.times)} of {len(load.commitments)} commitment requests have a result",
    )
    problems = (
        *(f"commitment request {uid} has no result" for uid in load.commitments if uid not in listener.times),
        *(f"{uid} was sent again with other bytes" for uid in pacs.changed),
        *server.changed,
        *receiver.changed,
        *resources.changed,
        *_not_everywhere(place, pacs.by_study, server.by_study, receiver.by_study, resources.by_study),
    )
    return group.result(ledger, faults=kills, notes=notes, problems=problems)


def _finish(
    place: ScratchNode, load: LoadGenerator, pacs: SimulatedPacs, listener: CommitmentListener
) -> tuple[str, ...]:
    """Let a node without faults finish all jobs; return problems."""
    with node_process(NodePlan(place=place)) as last:
        load.port = last.port
        load.stopping.set()
        is_idle = wait_for(lambda: _is_done(last, place, load, pacs, listener), _IDLE_TIMEOUT_S)
        status = last.stop()
    problems: tuple[str, ...] = () if is_idle else (ledger_check.not_idle(place.settings, _IDLE_TIMEOUT_S),)
    return problems if status == 0 else (*problems, f"the last node ended with status {status}")


def _is_done(
    last: NodeProcess, place: ScratchNode, load: LoadGenerator, pacs: SimulatedPacs, listener: CommitmentListener
) -> bool:
    last.read_messages(0.0)
    if last.has_ended:
        return True
    is_delivered = load.stored.keys() <= pacs.by_study.keys() and set(load.commitments) <= listener.times.keys()
    return is_delivered and ledger_check.is_idle(place.settings)


def _not_everywhere(place: ScratchNode, *by_study: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Return reports that some destinations have and others do not: the folder, and those with reports by study."""
    in_folder = {path.stem for path in (place.folder / "share").glob("*.dcm")}
    places = [in_folder, *({uid for reports in studies.values() for uid in reports} for studies in by_study)]
    known = {uid for one in places for uid in one}
    return tuple(f"{uid} is not at every destination" for uid in sorted(known) if not all(uid in one for one in places))
