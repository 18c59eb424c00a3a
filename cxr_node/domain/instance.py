"""A received SOP Instance: its identity, its bytes, and its sender."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cxr_node.domain.identifiers import AeTitle, Digest, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The identifiers of one SOP Instance and of the series, study and patient it belongs to.

    `patient_key` is a digest of the patient's identifiers: it shows that two objects of a study have different
    patients, but does not identify them.
    """

    sop_class_uid: Uid
    sop_instance_uid: Uid
    series_instance_uid: Uid
    study_instance_uid: Uid
    patient_key: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """Where the bytes of a film or result are archived, and the digest of their data set."""

    archive_key: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SOP Instance: its identity and its bytes as a DICOM file (PS3.10 section 7).

    `digest` is of the data set bytes as sent, without the File Meta Information, which the receiver writes.
    `header_values` are encoded values of `film_attributes.TAGS` by tag; empty if they were not read.
    """

    identity: Identity
    transfer_syntax_uid: Uid
    digest: Digest
    content: bytes
    header_values: Mapping[int, bytes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return len(self.content)

    @property
    def beginning(self) -> bytes:
        """The file, at least up to the identifying elements."""
        return self.content


class StagedObject(Protocol):
    """Bytes written as they arrive, by one thread at a time; then committed under a key, or discarded."""

    def write(self, content: bytes | memoryview, /) -> None:
        """Append `content`; raise OSError or RetryLater if that fails."""

    def read(self) -> bytes:
        """Return the content."""
        ...

    def commit(self, key: str) -> None:
        """Store the content durably under `key`; may be repeated."""

    def close(self) -> None:
        """Discard the content unless it is committed; may be repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedInstance:
    """One SOP Instance as `Instance`, but with its bytes in a staged object instead of memory.

    `beginning` is the file at least up to the identifying elements.
    """

    identity: Identity
    transfer_syntax_uid: Uid
    digest: Digest
    size_bytes: int
    beginning: bytes
    staged: StagedObject
    header_values: Mapping[int, bytes] = field(default_factory=dict, repr=False, compare=False)


Received = Instance | StagedInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The peer of an association: calling and called AE title, IP address.

    `association` identifies the association; empty where it is unknown.
    """

    calling_ae_title: AeTitle
    called_ae_title: AeTitle
    address: str
    association: str = ""
