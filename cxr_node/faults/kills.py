"""`kill -9` of a whole node at every named step of every stage, and at random moments, under load."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.load import Load, flowing, wait_for
from cxr_node.faults.node_process import NodeProcess, Plan, life
from cxr_node.faults.outcome import LedgerCheck, Outcome
from cxr_node.faults.scratch import MODALITY_TITLE, Place
from cxr_node.faults.steps import Fault
from cxr_node.simulators.commitment import CommitmentListener
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "kill -9 at every step"
_REHEARSAL_S = 4.0
_LONGEST_S = 2.5
"""A step that has not come by then does not come: the node is killed at that moment instead."""
_AT_RANDOM = 0.2
"""The share of kills at random moments."""
_REST_S = 180.0


@dataclass(slots=True, kw_only=True)
class _Deaths:
    """Which steps are known, and how often a node has died at each."""

    chance: Random
    at: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)
    at_random: int = 0
    unmet: Counter[str] = field(default_factory=Counter)

    def learn(self, steps: set[str]) -> None:
        """Take in the steps of a life, but for those of a first start, which does not come again."""
        self.known |= {step for step in steps if not is_of_first_start(step)}

    def next(self) -> Fault | None:
        """Return where to die next: at a step at which the fewest have died, or None for a random moment."""
        if not self.known or self.chance.random() < _AT_RANDOM:
            return None
        fewest = min(self.at[step] + self.unmet[step] for step in self.known)
        step = self.chance.choice(sorted(each for each in self.known if self.at[each] + self.unmet[each] == fewest))
        return Fault(step=step, number=self.chance.choice((1, 1, 2, 3)))

    def note(self, fault: Fault | None, *, met: bool) -> None:
        """Note where a node has died."""
        if fault is not None and met:
            self.at[fault.step] += 1
            return
        self.at_random += 1
        if fault is not None:
            self.unmet[fault.step] += 1


def is_of_first_start(step: str) -> bool:
    """Whether a step makes the schema."""
    return any(word in step for word in ("CREATE", "ALTER", "alembic_version"))


def run(bench: FaultContext) -> Outcome:
    """Kill a node under load again and again; let it come to rest; draw the balance."""
    kills, deaths = bench.amounts.kills, _Deaths(chance=bench.chance(GROUP))
    with ExitStack() as stack:
        seconds = stack.enter_context(stopwatch())
        pacs = stack.enter_context(SimulatedPacs())
        listener = stack.enter_context(CommitmentListener(MODALITY_TITLE))
        place = _place(bench, stack.enter_context(bench.database_url()), pacs, listener)
        traffic = Load(films=bench.films, requests_commitment=True)
        traffic.arrived = lambda: len(traffic.stored.keys() & pacs.by_study.keys())
        stack.enter_context(flowing(traffic))
        for number in range(kills):
            bench.tell("kills", number, kills)
            fault = deaths.next() if number else None
            with life(Plan(place=place, faults=(fault,) if fault else (), keeps_up=True)) as one:
                traffic.port = one.port
                longest = _REHEARSAL_S if not number else _LONGEST_S
                met = one.wait(longest if fault is not None or not number else deaths.chance.uniform(0, longest))
                traffic.port = 0
                one.kill()
            deaths.learn(one.steps)
            deaths.note(fault, met=met)
        result, unrest = _rest(place, traffic, pacs, listener)
    notes = (
        f"{len(deaths.known)} steps known, a node died at {len(deaths.at)} of them; {deaths.at_random} random moments",
        f"{len(listener.times)} of {len(traffic.commitments)} requests for commitment answered",
    )
    return Outcome(
        group=GROUP,
        database=bench.kind,
        faults=kills,
        films=result.films,
        confirmed=result.confirmed,
        lost=len(result.lost),
        doubled=len(result.doubled),
        problems=result.problems + unrest + _unanswered(traffic, listener) + _changed(pacs) + _strayed(place, pacs),
        notes=notes,
        seconds=seconds(),
    )


def _place(bench: FaultContext, database_url: str, pacs: SimulatedPacs, listener: CommitmentListener) -> Place:
    folder = bench.folder / "kills"
    destinations = {
        "pacs": scratch.to_pacs(pacs.port, confirm="commitment", confirm_again_s=1.0),
        "share": scratch.to_folder(folder / "share"),
    }
    return scratch.place(
        folder,
        receives=bench.receives,
        database_url=database_url,
        destinations=destinations,
        commitment_peers={MODALITY_TITLE: listener.port},
    )


def _rest(
    place: Place, traffic: Load, pacs: SimulatedPacs, listener: CommitmentListener
) -> tuple[LedgerCheck, tuple[str, ...]]:
    """Let a node without faults finish what the dead left, and draw the balance."""
    with life(Plan(place=place)) as last:
        traffic.port = last.port
        traffic.ended.set()
        rested = wait_for(lambda: _is_done(last, place, traffic, pacs, listener), _REST_S)
        status = last.stop()
    problems: tuple[str, ...] = () if rested else (f"not at rest after {_REST_S:.0f} s",)
    problems += () if status == 0 else (f"the last node ended with status {status}",)
    return ledger_check.drawn(place.settings, traffic.stored, pacs.by_study), problems


def _is_done(last: NodeProcess, place: Place, traffic: Load, pacs: SimulatedPacs, listener: CommitmentListener) -> bool:
    last.listen(0.0)
    if last.ended:
        return True
    arrived = traffic.stored.keys() <= pacs.by_study.keys() and set(traffic.commitments) <= listener.times.keys()
    return arrived and ledger_check.is_at_rest(place.settings)


def _unanswered(traffic: Load, listener: CommitmentListener) -> tuple[str, ...]:
    return tuple(f"request {uid} was not answered" for uid in traffic.commitments if uid not in listener.times)


def _changed(pacs: SimulatedPacs) -> tuple[str, ...]:
    return tuple(f"{uid} was sent with other bytes" for uid in pacs.changed)


def _strayed(place: Place, pacs: SimulatedPacs) -> tuple[str, ...]:
    """Return what the folder, as another destination, has that the PACS does not, or the other way round."""
    there = {path.stem for path in (place.folder / "share").glob("*.dcm")}
    sent = {uid for reports in pacs.by_study.values() for uid in reports}
    return tuple(f"{uid} is at one of two destinations" for uid in sorted(there ^ sent))
