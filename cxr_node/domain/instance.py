"""A DICOM object as it travels: who it is, and its bytes."""

from dataclasses import dataclass
from typing import Protocol

from cxr_node.domain.identifiers import AeTitle, Digest, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The identifiers of one SOP Instance and of the series, study and patient it belongs to.

    `patient_key` is a digest of the patient's identifiers, never the identifiers: enough to notice
    that two objects of one study speak of two patients, useless for learning who they are.
    """

    sop_class_uid: Uid
    sop_instance_uid: Uid
    series_instance_uid: Uid
    study_instance_uid: Uid
    patient_key: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SOP Instance: its identity and its bytes as a DICOM file (PS3.10 section 7).

    `digest` is over the data set bytes alone, as they were sent: the File Meta Information is written
    by the receiver and may differ between two receptions of the same object.
    """

    identity: Identity
    transfer_syntax_uid: Uid
    digest: Digest
    content: bytes

    @property
    def size_bytes(self) -> int:
        """How many bytes the file has."""
        return len(self.content)

    @property
    def beginning(self) -> bytes:
        """The file, at least as far as it says whose it is."""
        return self.content


class StagedObject(Protocol):
    """Bytes that are written as they arrive, by one thread at a time, and then kept under a name or let go of."""

    def write(self, content: bytes | memoryview, /) -> None:
        """Add to what was written; raise OSError or RetryLater if it cannot be taken."""

    def read(self) -> bytes:
        """Return all that was written."""
        ...

    def keep(self, key: str) -> None:
        """Keep what was written under `key`, as durably as the archive keeps anything; it may be kept again."""

    def close(self) -> None:
        """Let go of it: what is not kept is gone. It may be closed again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedInstance:
    """One SOP Instance that has arrived: as `Instance`, but its bytes wait aside to be kept and are not in memory.

    `beginning` is the file at least as far as it says whose it is.
    """

    identity: Identity
    transfer_syntax_uid: Uid
    digest: Digest
    size_bytes: int
    beginning: bytes
    staged: StagedObject


Received = Instance | StagedInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The peer of an association: how it called itself, whom it called, and from where.

    `association` tells its associations apart; it is empty for films from before they were told apart.
    """

    calling_ae_title: AeTitle
    called_ae_title: AeTitle
    address: str
    association: str = ""
