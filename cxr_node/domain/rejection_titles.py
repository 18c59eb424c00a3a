"""Titles of rejection notes: Key Object Selections that withdraw instances (PS3.16 CID 7010, IHE RAD TF IOCM)."""

from dataclasses import dataclass
from enum import StrEnum

from cxr_node.domain.codes import Code, dcm
from cxr_node.domain.identifiers import Uid


class RejectionTitle(StrEnum):
    """Code value (DCM) of the document title of a rejection note."""

    QUALITY = "113001"
    SAFETY = "113037"
    WORKLIST = "113038"
    RETENTION = "113039"

    @property
    def code(self) -> Code:
        """The title as a code."""
        return dcm(self.value, _MEANINGS[self])

    @property
    def meaning(self) -> str:
        """Meaning of the code."""
        return _MEANINGS[self]


_MEANINGS = {
    RejectionTitle.QUALITY: "Rejected for Quality Reasons",
    RejectionTitle.SAFETY: "Rejected for Patient Safety Reasons",
    RejectionTitle.WORKLIST: "Incorrect Modality Worklist Entry",
    RejectionTitle.RETENTION: "Data Retention Policy Expired",
}


class NoteScope(StrEnum):
    """Whose films the rejection notes of a sender concern."""

    EVERY_FILM = "every film"
    OWN_FILMS = "films of the sender"
    NO_FILM = "no film"


NOTE_KIND = "REJECTION"
"""Kind of a rejection note among results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedInstance:
    """An instance that a rejection note names, with its study."""

    study_instance_uid: Uid
    sop_instance_uid: Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionNote:
    """What a rejection note says."""

    title: RejectionTitle
    instances: tuple[RejectedInstance, ...]
