"""State machine of a simulated worklist manager: steps by PS3.4 table CC.1.1-2, with the statuses of its services.

It refuses wrong Transaction UIDs, wrong transitions, and final states without the attributes of table CC.2.5-3. It
fails in a chosen way. The managers by DIMSE and by UPS-RS serve it.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from cxr_node.domain.codes import Code, dcm
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.sop_classes import UPS_PUSH
from cxr_node.ups.attributes import code_item

WORKITEM = dcm("110003", "Computer Aided Diagnosis")
OTHER_WORKITEM = dcm("110001", "Image Processing")
SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED = "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"
SILENCE_S = 3.0
"""By then a client has given up."""
PROCESSING_FAILURE, UNABLE_TO_PROCESS = 0x0110, 0xC001
_CLAIM = f"N-ACTION {IN_PROGRESS}"


class Mode(StrEnum):
    """What the manager does with requests."""

    RIGHT = "right"
    SILENT = "no response to a claim"
    GRANTS_SILENTLY = "changes the state, and does not respond"
    FAILS = "fails every request"
    QUERIES_FAIL = "fails queries"
    CLAIMS_ONLY_IN_WORDS = "Success for a claim that it does not grant"
    ENDS_ONLY_IN_WORDS = "Success for a final state that the step does not get"
    SETS_ONLY_IN_WORDS = "Success for attributes that it does not set"
    TAKEN = "claims answered as another's"
    IN_PROGRESS_ALREADY = "claims answered as in progress"
    NOT_KNOWN = "claims answered as of no step"
    OFFERS_ALL = "offers every step, whatever was asked"
    ABORTS = "aborts at each change of a state"


_CLAIM_ANSWERS = {
    Mode.CLAIMS_ONLY_IN_WORDS: 0x0000,
    Mode.TAKEN: 0xC301,
    Mode.IN_PROGRESS_ALREADY: 0xC302,
    Mode.NOT_KNOWN: 0xC307,
}

_ONLY_IN_WORDS = {
    Mode.ENDS_ONLY_IN_WORDS: (f"N-ACTION {COMPLETED}", f"N-ACTION {CANCELED}"),
    Mode.SETS_ONLY_IN_WORDS: ("N-SET",),
}
"""Requests that a mode answers with Success, and does not carry out."""

Answerer = Callable[[str, str], int | None]
"""Called with the request and the step before a request is served; a status is answered in its place."""


@dataclass(slots=True)
class Step:
    """A step at the manager, and the states that it has had."""

    attributes: Dataset
    state: str = SCHEDULED
    transaction_uid: str = ""
    performer: str = ""
    """Calling AE title of the node that claimed it."""
    states: list[str] = field(default_factory=lambda: [SCHEDULED])
    progress: list[str] = field(default_factory=list)

    def enter(self, state: str) -> None:
        """Change the state."""
        self.state = state
        self.states.append(state)

    @property
    def performed(self) -> Dataset:
        """The item of UPS Performed Procedure Sequence."""
        item: Dataset
        (item,) = self.attributes.UnifiedProcedureStepPerformedProcedureSequence
        return item

    @property
    def progress_information(self) -> Dataset:
        """The item of Procedure Step Progress Information Sequence."""
        item: Dataset
        (item,) = self.attributes.ProcedureStepProgressInformationSequence
        return item

    @property
    def outputs(self) -> list[str]:
        """SOP Instance UIDs of Output Information Sequence."""
        items = self.performed.OutputInformationSequence
        return [str(one.ReferencedSOPInstanceUID) for item in items for one in item.ReferencedSOPSequence]


class ManagedSteps:
    """Steps by SOP Instance UID, the requests that were served, and the statuses that were answered.

    `answer` replaces responses, `mode` may change at any time.
    """

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self.requests: list[tuple[str, str, int]] = []
        self.mode = Mode.RIGHT
        self.answer: Answerer = self._mode_answer
        self.answers_claims_of_others_with_c302 = False
        self.matches_keys = True
        self._lock = threading.Lock()

    def _mode_answer(self, request: str, _step: str) -> int | None:
        """Return the status that the mode answers in place of the right one."""
        if request == _CLAIM and self.mode in _CLAIM_ANSWERS:
            return _CLAIM_ANSWERS[self.mode]
        if request in _ONLY_IN_WORDS.get(self.mode, ()):
            return 0x0000
        if self.mode is Mode.FAILS:
            return UNABLE_TO_PROCESS if request == "C-FIND" else PROCESSING_FAILURE
        return UNABLE_TO_PROCESS if self.mode is Mode.QUERIES_FAIL and request == "C-FIND" else None

    def add(
        self,
        uid: str,
        films: Sequence[Dataset] = (),
        *,
        workitem: Code = WORKITEM,
        priority: str = "MEDIUM",
        readiness: str = "READY",
        url: str = "",
    ) -> None:
        """Schedule a step whose inputs are films of the archive ARCHIVE, or of the DICOMweb server at a URL."""
        step = Dataset()
        step.SOPClassUID, step.SOPInstanceUID = UPS_PUSH, uid
        step.ScheduledProcedureStepPriority, step.InputReadinessState = priority, readiness
        step.ScheduledWorkitemCodeSequence = [code_item(workitem)]
        step.ScheduledStationNameCodeSequence = []
        step.WorklistLabel = "chest"
        step.StudyInstanceUID = str(films[0].StudyInstanceUID) if films else ""
        step.InputInformationSequence = [_input(film, url) for film in films]
        step.UnifiedProcedureStepPerformedProcedureSequence = []
        step.ProcedureStepProgressInformationSequence = []
        self.steps[uid] = Step(attributes=step)

    def states(self) -> dict[str, str]:
        """Return the state of each step."""
        return {uid: step.state for uid, step in self.steps.items()}

    def find(self, identifier: Dataset) -> tuple[int, list[Dataset]]:
        """Return a status, 0 for success, and the responses to a query (section CC.2.8)."""
        if status := self.answer("C-FIND", ""):
            return status, []
        with self._lock:
            is_strict = self.matches_keys and self.mode is not Mode.OFFERS_ALL
            matching = [step for step in self.steps.values() if not is_strict or _matches(step, identifier)]
            return 0x0000, [_response(step) for step in matching]

    def get(self, uid: str, tags: Sequence[int] | None = None) -> tuple[int, Dataset | None]:
        """Return a status and the attributes of a step, never its Transaction UID (section CC.2.7); None: all."""
        with self._lock:
            status = self.answer("N-GET", uid) or (0x0000 if uid in self.steps else 0xC307)
            self.requests.append(("N-GET", uid, status))
            if status:
                return status, None
            attributes = self.steps[uid].attributes
            answered, wanted = Dataset(), attributes.keys() if tags is None else tags
            answered.update({Tag(tag): attributes[tag] for tag in wanted if tag in attributes})
            answered.ProcedureStepState = self.steps[uid].state
            return status, answered

    def set_attributes(self, uid: str, modifications: Dataset) -> int:
        """Return the status of an update (section CC.2.6)."""
        with self._lock:
            status = self.answer("N-SET", uid)
            status = self._update(uid, modifications) if status is None else status
            self.requests.append(("N-SET", uid, status))
            return status

    def change_state(self, uid: str, information: Dataset, *, performer: str) -> int:
        """Return the status of Change UPS State (section CC.2.1), after a silence if the mode has one."""
        state, mode = str(information.ProcedureStepState), self.mode
        if mode in (Mode.ABORTS, Mode.SILENT):
            threading.Event().wait(SILENCE_S)
            return PROCESSING_FAILURE
        with self._lock:
            status = self.answer(f"N-ACTION {state}", uid)
            status = self._change(uid, state, str(information.get("TransactionUID", ""))) if status is None else status
            self.requests.append((f"N-ACTION {state}", uid, status))
            if state == IN_PROGRESS and not status and uid in self.steps:
                self.steps[uid].performer = performer
        if mode is Mode.GRANTS_SILENTLY:
            threading.Event().wait(SILENCE_S)
        return status

    def _update(self, uid: str, modifications: Dataset) -> int:
        step = self.steps.get(uid)
        if step is None:
            return 0xC307
        if step.state in (COMPLETED, CANCELED):
            return 0xC300
        if step.state == SCHEDULED:
            return 0xC310
        if modifications.get("TransactionUID") != step.transaction_uid:
            return 0xC301
        del modifications.TransactionUID
        step.attributes.update(modifications)
        step.progress.append(f"{float(step.progress_information.ProcedureStepProgress):g}")
        return 0x0000

    def _change(self, uid: str, state: str, transaction_uid: str) -> int:
        """Return the status of table CC.1.1-2, and change the state."""
        step = self.steps.get(uid)
        if step is None or state == SCHEDULED:
            return 0xC307 if step is None else 0xC303
        is_owner = bool(transaction_uid) and step.transaction_uid in ("", transaction_uid)
        if not is_owner:
            is_claim = state == IN_PROGRESS and step.state == IN_PROGRESS
            return 0xC302 if is_claim and self.answers_claims_of_others_with_c302 else 0xC301
        if step.state in (COMPLETED, CANCELED):
            same = {COMPLETED: 0xB306, CANCELED: 0xB304}
            return same[state] if state == step.state else 0xC300
        status = _refusal(step, state)
        if not status:
            step.transaction_uid = transaction_uid
            step.enter(state)
        return status


def _refusal(step: Step, state: str) -> int:
    """Return the status for the owner of a step that has not ended: 0 if the state is granted."""
    if state == IN_PROGRESS:
        return 0xC302 if step.state == IN_PROGRESS else 0x0000
    if step.state == SCHEDULED:
        return 0xC310
    return 0xC304 if _missing(step, state) else 0x0000


def _missing(step: Step, state: str) -> list[str]:
    """Return the attributes of the final state that are missing (table CC.2.5-3, column Final State)."""
    if not step.attributes.ProcedureStepProgressInformationSequence:
        return ["ProcedureStepProgressInformationSequence"]
    if state == CANCELED:
        reasons = ("ProcedureStepCancellationDateTime", "ProcedureStepDiscontinuationReasonCodeSequence")
        return [name for name in reasons if not step.progress_information.get(name)]
    if not step.attributes.UnifiedProcedureStepPerformedProcedureSequence:
        return ["UnifiedProcedureStepPerformedProcedureSequence"]
    names = (
        "PerformedStationNameCodeSequence",
        "PerformedWorkitemCodeSequence",
        "PerformedProcedureStepStartDateTime",
        "PerformedProcedureStepEndDateTime",
    )
    missing = [name for name in names if not step.performed.get(name)]
    return missing if "OutputInformationSequence" in step.performed else [*missing, "OutputInformationSequence"]


def _input(film: Dataset, url: str) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
    item = Dataset()
    item.TypeOfInstances = "DICOM"
    item.StudyInstanceUID, item.SeriesInstanceUID = film.StudyInstanceUID, film.SeriesInstanceUID
    item.ReferencedSOPSequence = [reference]
    retrieval = Dataset()
    if url:
        retrieval.RetrieveURL = f"{url}/studies/{film.StudyInstanceUID}/series/{film.SeriesInstanceUID}"
        item.WADORSRetrievalSequence = [retrieval]
    else:
        retrieval.RetrieveAETitle = "ARCHIVE"
        item.DICOMRetrievalSequence = [retrieval]
    return item


def _matches(step: Step, identifier: Dataset) -> bool:
    state = str(identifier.get("ProcedureStepState") or step.state)
    label = str(identifier.get("WorklistLabel") or "chest")
    wanted = [str(item.get("CodeValue") or "") for item in identifier.get("ScheduledWorkitemCodeSequence") or ()]
    values = [str(item.CodeValue) for item in step.attributes.ScheduledWorkitemCodeSequence]
    return state == step.state and label == "chest" and all(value in values for value in wanted if value)


def _response(step: Step) -> Dataset:
    keywords = (
        "ScheduledProcedureStepPriority",
        "InputReadinessState",
        "WorklistLabel",
        "ScheduledWorkitemCodeSequence",
    )
    response = Dataset()
    response.SOPClassUID, response.SOPInstanceUID = UPS_PUSH, step.attributes.SOPInstanceUID
    response.ProcedureStepState = step.state
    for keyword in keywords:
        setattr(response, keyword, step.attributes[keyword].value)
    return response


def step_uid(number: int) -> Uid:
    """Return the SOP Instance UID of a step."""
    return Uid(f"1.2.826.0.1.3680043.8.498.77.{number}")
