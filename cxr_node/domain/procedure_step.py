"""Unified Procedure Steps that this node performs: values, states, and the protocol of a worklist (PS3.4 annex CC)."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cxr_node.domain.codes import Code, dcm
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle, Uid


class ClaimState(StrEnum):
    """State of a claimed step in this node: a change is recorded before it is requested of the manager."""

    CLAIMING = "claiming"
    IN_PROGRESS = "in_progress"
    COMPLETING = "completing"
    CANCELING = "canceling"
    COMPLETED = "completed"
    CANCELED = "canceled"
    REFUSED = "refused"
    LOST = "lost"


OPEN = frozenset({ClaimState.CLAIMING, ClaimState.IN_PROGRESS, ClaimState.COMPLETING, ClaimState.CANCELING})

TRANSITIONS: Mapping[ClaimState, frozenset[ClaimState]] = {
    ClaimState.CLAIMING: frozenset({ClaimState.IN_PROGRESS, ClaimState.REFUSED}),
    # A manager that was restored from a backup may have the step as SCHEDULED again.
    ClaimState.IN_PROGRESS: frozenset(
        {ClaimState.COMPLETING, ClaimState.CANCELING, ClaimState.LOST, ClaimState.CLAIMING}
    ),
    ClaimState.COMPLETING: frozenset(
        {ClaimState.COMPLETED, ClaimState.CANCELING, ClaimState.LOST, ClaimState.CLAIMING}
    ),
    ClaimState.CANCELING: frozenset({ClaimState.CANCELED, ClaimState.LOST, ClaimState.CLAIMING}),
    ClaimState.COMPLETED: frozenset(),
    ClaimState.CANCELED: frozenset(),
    ClaimState.REFUSED: frozenset({ClaimState.CLAIMING}),
    ClaimState.LOST: frozenset({ClaimState.CLAIMING}),
}


class StepAnswer(StrEnum):
    """What the manager's response to a request means for the step."""

    DONE = "done"
    TAKEN = "taken"
    IN_PROGRESS = "in progress already"
    ENDED = "ended"
    UNKNOWN = "unknown"
    NOT_CLAIMED = "not claimed"
    NOT_MET = "not met"
    RETRY = "retry"


class WorklistFailed(RetryLater):
    """A worklist manager gave no answer, or one that allows no next step now."""


OBJECTS_MISSING = dcm("110523", "Object Set incomplete")
NO_FILMS = dcm("110522", "Object Types not supported")
UNSPECIFIED = dcm("110513", "Discontinued for unspecified reason")
REASONS: Mapping[str, Code] = {code.value: code for code in (OBJECTS_MISSING, NO_FILMS, UNSPECIFIED)}
"""Reasons why the node cancels a step, by code value (PS3.16 CID 9300)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalPlace:
    """Where an instance can be retrieved from: the AE title of an archive, or the base URL of a DICOMweb server."""

    ae_title: AeTitle | None = None
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInput:
    """An instance of Input Information Sequence, and from where it can be retrieved; a UID that is not stated is ""."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: Uid
    sop_instance_uid: Uid
    places: tuple[RetrievalPlace, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDetails:
    """A step as its manager states it: Procedure Step State, workitem, and inputs.

    `outputs` are the SOP Instance UIDs of Output Information Sequence; None if the manager does not return what was
    performed.
    """

    state: str
    study_instance_uid: str
    workitem: Code | None
    inputs: tuple[StepInput, ...]
    outputs: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutput:
    """A result of a step, and from where it can be retrieved."""

    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_class_uid: Uid
    sop_instance_uid: Uid
    retrievals: tuple[RetrievalPlace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress:
    """What the node states of a step in progress: 0 to 100 percent, and the station and workitem performed."""

    percent: int
    station: Code
    workitem: Code
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalState:
    """Attributes of the final state: the results, and the reason if the step is canceled (PS3.4 table CC.2.5-3)."""

    progress: StepProgress
    ended_at: datetime
    outputs: Sequence[StepOutput]
    reason: Code | None = None


class InputSource(Protocol):
    """A source of the settings that films of steps are retrieved from."""

    @property
    def name(self) -> str:
        """Name in the settings."""
        ...

    def is_at(self, place: RetrievalPlace) -> bool:
        """Whether a place that a step names is this source."""
        ...

    def fetch(self, film: StepInput, *, until: float) -> None:
        """Retrieve a film and store it as a received one, by a time of `time.monotonic`.

        Raises
        ------
        FilmNotSent
            If the source has answered without it.
        SearchFailed
            If it has not come, or cannot be stored now.
        RejectObject
            If it cannot be a film of this node.
        """
        ...


class WorklistSession(Protocol):
    """Requests to the manager of a worklist, on one association. Each may raise WorklistFailed."""

    def find(self, limit: int) -> list[Uid]:
        """Return steps to claim, the most urgent first."""
        ...

    def claim(self, step: Uid, transaction_uid: Uid) -> StepAnswer:
        """Change the state to IN PROGRESS, which locks the step by the Transaction UID."""
        ...

    def details(self, step: Uid) -> tuple[StepAnswer, StepDetails | None]:
        """Return the step as it is now, if the answer is DONE."""
        ...

    def update(self, step: Uid, transaction_uid: Uid, progress: StepProgress) -> StepAnswer:
        """Set the progress."""
        ...

    def finish(self, step: Uid, transaction_uid: Uid, final: FinalState) -> StepAnswer:
        """Set the attributes of the final state."""
        ...

    def end(self, step: Uid, transaction_uid: Uid, *, is_completed: bool) -> StepAnswer:
        """Change the state to COMPLETED or CANCELED."""
        ...


class Worklist(Protocol):
    """A worklist of the settings."""

    @property
    def name(self) -> str:
        """Name in the settings."""
        ...

    def session(self) -> AbstractContextManager[WorklistSession]:
        """Open an association for the block, or raise WorklistFailed."""
        ...
