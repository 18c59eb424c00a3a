"""Performer of Unified Procedure Steps: claims what worklists schedule, and reports it until it is ended (PS3.4 CC).

What a request would change is committed before the request is sent, and every request may be repeated. So a node that
stops at any point takes up what it has claimed: its row has the Transaction UID, and the manager states the rest.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from cxr_node.db.database import Database
from cxr_node.domain.clock import Clock
from cxr_node.domain.codes import Code, dcm
from cxr_node.domain.errors import RetryLater, type_and_place
from cxr_node.domain.identifiers import Uid, new_uid
from cxr_node.domain.procedure_step import (
    NO_FILMS,
    OBJECTS_MISSING,
    OPEN,
    REASONS,
    UNSPECIFIED,
    ClaimState,
    FinalState,
    RetrievalPlace,
    StepAnswer,
    StepDetails,
    StepInput,
    StepOutput,
    StepProgress,
    Worklist,
    WorklistFailed,
    WorklistSession,
)
from cxr_node.domain.sop_classes import STORAGE_SOP_CLASSES
from cxr_node.queries import step_inputs
from cxr_node.queries.ledger import Fate, LedgerEntry
from cxr_node.records import answer_states, procedure_steps
from cxr_node.records.procedure_steps import ProcedureStep
from cxr_node.work.periodic.input_retrieval import InputRetrieval

_log = logging.getLogger(__name__)

_OFFERS = 500
"""Steps that one query asks for."""
_CHANGES = 4
"""State changes of a step in one run: claimed, performed, ended, and one more."""
_AGAIN = timedelta(minutes=1)
"""Time after which a step that was refused or lost is claimed again, if it is offered: managers may answer late."""
_CLAIMED, _HELD, _DELIVERED = 10, 20, 60
"""Percentages of progress: for the claim, for films that have come, and for films whose results are delivered."""
_WORKITEM = dcm("110003", "Computer Aided Diagnosis")
_ENDED_AS = {ClaimState.COMPLETING: "COMPLETED", ClaimState.CANCELING: "CANCELED"}
"""Procedure Step State that is requested in a state of this node."""
_STATES = frozenset(_ENDED_AS.values())
_GRANTED = "the manager granted "
"""Begin of the detail of a step whose manager contradicts itself."""


@dataclass(slots=True, kw_only=True)
class ProcedureSteps:
    """Steps of all worklists. `retrievals` has where results can be retrieved from, by the name of the destination."""

    database: Database
    worklists: Callable[[], Sequence[Worklist]]
    retrievals: Callable[[], Mapping[str, RetrievalPlace]]
    station: Code
    clock: Clock
    maximum_steps: int
    input_wait: timedelta
    retrieval: InputRetrieval
    new_uid: Callable[[], Uid] = new_uid

    def run(self) -> None:
        """Advance the steps of each worklist, and claim further ones.

        Raises
        ------
        WorklistFailed
            If a worklist gave no answer, or was removed from the settings with steps claimed; the others are done.
        """
        worklists = self.worklists()
        with self.database.read() as connection:
            claimed = procedure_steps.open_worklists(connection)
        failures = [
            f"worklist {name} is not in the settings, and {count} of its steps are claimed"
            for name, count in claimed.items()
            if name not in {worklist.name for worklist in worklists}
        ]
        outcomes: dict[str, str] = {}
        for worklist in worklists:
            try:
                with worklist.session() as session:
                    _Run(performer=self, worklist=worklist.name, session=session).run()
                outcomes[worklist.name] = ""
            except WorklistFailed as error:
                outcomes[worklist.name] = str(error)
        answer_states.note(self.database, "worklist", outcomes, now=self.clock())
        failures += filter(None, outcomes.values())
        if failures:
            raise WorklistFailed("; ".join(failures))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One run over a worklist, on one association."""

    performer: ProcedureSteps
    worklist: str
    session: WorklistSession
    granted: set[int] = field(default_factory=set)
    """Numbers of the steps whose claim was granted in this run."""
    contradictions: list[str] = field(default_factory=list)
    """Requests that the manager granted, and has not carried out."""

    def run(self) -> None:
        """Advance all steps; raise WorklistFailed at the end if the manager has not done what it granted."""
        with self.performer.database.read() as connection:
            steps = procedure_steps.open_steps(connection, self.worklist)
        claimed = sum(self._advance_safely(step) in OPEN for step in steps)
        if claimed < self.performer.maximum_steps:
            self._claim_more(self.performer.maximum_steps - claimed)
        if self.contradictions:
            raise WorklistFailed(f"worklist {self.worklist}: {self.contradictions[0]}")

    def _claim_more(self, number: int) -> None:
        for uid in self.session.find(_OFFERS):
            now = self.performer.clock()
            with self.performer.database.write() as transaction:
                step = procedure_steps.request(
                    transaction,
                    self.worklist,
                    uid,
                    transaction_uid=self.performer.new_uid(),
                    not_after=now - _AGAIN,
                    now=now,
                )
            if step is not None and self._advance_safely(step) in OPEN:
                number -= 1
            if not number:
                return

    def _advance_safely(self, step: ProcedureStep) -> ClaimState:
        """Advance a step; return its state afterwards."""
        try:
            return self._advance(step)
        except RetryLater:
            raise
        except Exception as error:  # noqa: BLE001  # a fault on one step must not end the run for others
            _log.error("step %d of worklist %s failed: %s", step.step_id, self.worklist, type_and_place(error))
            return step.state

    def _advance(self, step: ProcedureStep) -> ClaimState:
        for _ in range(_CHANGES):
            if step.state not in OPEN:
                break
            after = self._next(step)
            if after is None:
                break
            step = after
        return step.state

    def _next(self, step: ProcedureStep) -> ProcedureStep | None:
        """Do what the state of a step demands; return the step with its new state, None if it keeps the state."""
        if step.state is ClaimState.CLAIMING:
            return self._claim(step)
        answer, details = self.session.details(step.sop_instance_uid)
        if answer is StepAnswer.UNKNOWN:
            return self._change(step, ClaimState.LOST, "the manager does not know the step any more")
        if details is None or not details.state:
            return self._stay(step, f"the manager did not state the step: {answer}")
        if step.state is ClaimState.IN_PROGRESS:
            return self._perform(step, details)
        return self._end(step, details)

    def _claim(self, step: ProcedureStep) -> ProcedureStep | None:
        answer = self.session.claim(step.sop_instance_uid, step.transaction_uid)
        if answer is StepAnswer.IN_PROGRESS:
            # Ours, if an earlier response was lost: an update with the Transaction UID is granted to its owner only.
            progress = self._progress(step, None, _CLAIMED)
            answer = self.session.update(step.sop_instance_uid, step.transaction_uid, progress)
            answer = StepAnswer.TAKEN if answer is StepAnswer.IN_PROGRESS else answer
        match answer:
            case StepAnswer.DONE:
                _log.info("step %s of worklist %s is claimed", step.sop_instance_uid, self.worklist)
                self.granted.add(step.step_id)
                return self._change(step, ClaimState.IN_PROGRESS)
            case StepAnswer.TAKEN | StepAnswer.ENDED | StepAnswer.UNKNOWN:
                return self._change(step, ClaimState.REFUSED, f"the manager refused the claim: {answer}")
            case _:
                return self._stay(step, f"the manager did not answer the claim as expected: {answer}")

    def _perform(self, step: ProcedureStep, details: StepDetails) -> ProcedureStep | None:
        if details.state in _STATES:
            return self._change(step, ClaimState.LOST, f"its state at the manager is {details.state}")
        if details.state == "SCHEDULED" and step.step_id in self.granted:
            return self._contradict(step, "IN PROGRESS", details.state)
        if details.state == "SCHEDULED":
            return self._change(step, ClaimState.CLAIMING, "its state at the manager is SCHEDULED again")
        films = [film for film in details.inputs if film.sop_class_uid in STORAGE_SOP_CLASSES]
        if not films:
            detail = f"none of its {len(details.inputs)} input instances is a chest film"
            return self._change(step, ClaimState.CANCELING, detail, NO_FILMS)
        entries, detail = self._held_or_retrieved(films)
        refused = self._report(step, details, len(films), entries)
        if refused is not None:
            return self._change(step, *refused)
        if len(entries) < len(films):
            return self._wait_or_cancel(step, len(films) - len(entries), detail)
        return self._conclude(step, entries)

    def _held_or_retrieved(self, films: Sequence[StepInput]) -> tuple[list[LedgerEntry], str]:
        """Return the ledger entries of the films that have come, and why others could not be retrieved."""
        entries = self._held(films)
        missing = {film.sop_instance_uid for film in films} - {entry.sop_instance_uid for entry in entries}
        if not missing:
            return entries, ""
        detail = self.performer.retrieval.retrieve([film for film in films if film.sop_instance_uid in missing])
        return self._held(films), detail

    def _held(self, films: Sequence[StepInput]) -> list[LedgerEntry]:
        with self.performer.database.read() as connection:
            return step_inputs.held(connection, [film.sop_instance_uid for film in films])

    def _report(
        self, step: ProcedureStep, details: StepDetails, films: int, entries: Sequence[LedgerEntry]
    ) -> tuple[ClaimState, str] | None:
        """Send the progress if it has changed, and record it; return the new state if the manager refuses it."""
        delivered = sum(entry.fate is Fate.DELIVERED for entry in entries)
        percent = _CLAIMED + _HELD * len(entries) // films + _DELIVERED * delivered // films
        if percent != step.progress:
            progress = self._progress(step, details, percent)
            answer = self.session.update(step.sop_instance_uid, step.transaction_uid, progress)
            if answer is not StepAnswer.DONE:
                percent = step.progress  # sent again in the next run, unless it is refused for good
            refused = _refused(answer)
            if refused is not None:
                return refused
        if (percent, films, len(entries)) != (step.progress, step.films, step.held_films):
            with self.performer.database.write() as transaction:
                procedure_steps.note(
                    transaction,
                    step,
                    study_instance_uid=details.study_instance_uid,
                    films=films,
                    held_films=len(entries),
                    progress=percent,
                    detail="",
                )
        return None

    def _wait_or_cancel(self, step: ProcedureStep, missing: int, detail: str) -> ProcedureStep | None:
        waited = self.performer.clock() - (step.claimed_at or self.performer.clock())
        if waited < self.performer.input_wait:
            return self._stay(step, "; ".join(filter(None, (f"films that have not come: {missing}", detail))))
        detail = "; ".join(filter(None, (f"films that have not come in time: {missing}", detail)))
        return self._change(step, ClaimState.CANCELING, detail, OBJECTS_MISSING)

    def _conclude(self, step: ProcedureStep, entries: Sequence[LedgerEntry]) -> ProcedureStep | None:
        """Complete a step whose films are delivered; cancel it if one is not reported for good."""
        waiting = sum(entry.fate is Fate.IN_PROGRESS for entry in entries)
        if waiting:
            return self._stay(step, f"films in progress: {waiting}")
        reasons = sorted({entry.reason for entry in entries if entry.fate is Fate.NOT_REPORTED})
        if reasons:
            return self._change(
                step, ClaimState.CANCELING, f"films are not reported: {', '.join(reasons)}", UNSPECIFIED
            )
        return self._change(step, ClaimState.COMPLETING)

    def _end(self, step: ProcedureStep, details: StepDetails) -> ProcedureStep | None:
        """Send the final attributes and the final state; an earlier attempt may have been granted already."""
        is_completed = step.state is ClaimState.COMPLETING
        uid, transaction_uid = step.sop_instance_uid, step.transaction_uid
        final = self._final(step, details, is_completed=is_completed)
        answer = self.session.finish(uid, transaction_uid, final)
        if answer is StepAnswer.DONE and self._are_absent(step, final.outputs):
            return self._contradict(step, "the outputs", "fewer")
        if answer in (StepAnswer.DONE, StepAnswer.ENDED):
            answer = self.session.end(uid, transaction_uid, is_completed=is_completed)
        if answer is StepAnswer.DONE:
            return self._confirm(step)
        if answer is StepAnswer.NOT_MET and is_completed:
            detail = "the manager demands more attributes of a completed step than the node has"
            return self._change(step, ClaimState.CANCELING, detail, UNSPECIFIED)
        refused = _refused(answer)
        return (
            self._stay(step, step.detail or f"not ended: {answer}") if refused is None else self._change(step, *refused)
        )

    def _are_absent(self, step: ProcedureStep, outputs: Sequence[StepOutput]) -> bool:
        """Whether the manager returns outputs of the step, and not all that were set."""
        if not outputs:
            return False
        _, details = self.session.details(step.sop_instance_uid)
        stated = None if details is None else details.outputs
        return stated is not None and not {output.sop_instance_uid for output in outputs} <= stated

    def _confirm(self, step: ProcedureStep) -> ProcedureStep | None:
        """End a step here if the manager states the final state that it granted, or has removed the step since."""
        answer, details = self.session.details(step.sop_instance_uid)
        if answer is not StepAnswer.UNKNOWN and details is None:
            return self._stay(step, step.detail or f"the manager did not state the step after its end: {answer}")
        if details is not None and details.state != _ENDED_AS[step.state]:
            return self._contradict(step, _ENDED_AS[step.state], details.state or "no state")
        is_completed = step.state is ClaimState.COMPLETING
        state = ClaimState.COMPLETED if is_completed else ClaimState.CANCELED
        _log.info("step %s of worklist %s is %s", step.sop_instance_uid, self.worklist, state)
        return self._change(step, state, "" if is_completed else _without_contradiction(step.detail), _reason(step))

    def _contradict(self, step: ProcedureStep, granted: str, stated: str) -> ProcedureStep | None:
        """Record that the manager states something else than it granted: the request is repeated in the next run."""
        contradiction = f"{_GRANTED}{granted}, and states {stated}"
        self.contradictions.append(f"step {step.step_id}: {contradiction}")
        return self._stay(step, "; ".join(filter(None, (_without_contradiction(step.detail), contradiction))))

    def _final(self, step: ProcedureStep, details: StepDetails, *, is_completed: bool) -> FinalState:
        return FinalState(
            progress=self._progress(step, details, 100 if is_completed else step.progress),
            ended_at=self.performer.clock(),
            outputs=self._outputs(details),
            reason=None if is_completed else _reason(step) or UNSPECIFIED,
        )

    def _outputs(self, details: StepDetails) -> list[StepOutput]:
        """Return the results that were delivered to where they can be retrieved from."""
        retrievals = self.performer.retrievals()
        entries = self._held(details.inputs)
        with self.performer.database.read() as connection:
            results = step_inputs.delivered_results(connection, [entry.film_id for entry in entries])
        return [
            StepOutput(
                study_instance_uid=result.study_instance_uid,
                series_instance_uid=result.series_instance_uid,
                sop_class_uid=result.sop_class_uid,
                sop_instance_uid=result.sop_instance_uid,
                retrievals=places,
            )
            for result in results
            if (places := tuple(retrievals[name] for name in result.destinations if name in retrievals))
        ]

    def _progress(self, step: ProcedureStep, details: StepDetails | None, percent: int) -> StepProgress:
        return StepProgress(
            percent=percent,
            station=self.performer.station,
            workitem=(details.workitem if details is not None else None) or _WORKITEM,
            started_at=step.claimed_at or self.performer.clock(),
        )

    def _change(
        self, step: ProcedureStep, state: ClaimState, detail: str = "", reason: Code | None = None
    ) -> ProcedureStep:
        if state in (ClaimState.REFUSED, ClaimState.LOST):
            _log.info("step %s of worklist %s is %s: %s", step.sop_instance_uid, self.worklist, state, detail)
        value = None if reason is None else reason.value
        with self.performer.database.write() as transaction:
            return procedure_steps.change(
                transaction, step, state, now=self.performer.clock(), detail=detail, reason=value
            )

    def _stay(self, step: ProcedureStep, detail: str) -> ProcedureStep | None:
        """Record why a step keeps its state."""
        if detail != step.detail:
            with self.performer.database.write() as transaction:
                procedure_steps.note_detail(transaction, step, detail)
        return None


def _refused(answer: StepAnswer) -> tuple[ClaimState, str] | None:
    """Return the state of a step whose update is not granted, and why; None if it was, or may be later."""
    match answer:
        case StepAnswer.TAKEN | StepAnswer.ENDED | StepAnswer.UNKNOWN:
            return ClaimState.LOST, f"the manager refused an update: {answer}"
        case StepAnswer.NOT_CLAIMED:
            return ClaimState.CLAIMING, "the manager has no claim of the step"
        case _:
            return None


def _without_contradiction(detail: str) -> str:
    return detail.partition(_GRANTED)[0].removesuffix("; ")


def _reason(step: ProcedureStep) -> Code | None:
    return None if step.reason is None else REASONS[step.reason]
