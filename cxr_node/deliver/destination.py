"""Destination seam: a kind of destination is one file with a subclass of `DestinationKind`, and a line in DESTINATIONS.

`tests/contracts/test_destination_contract.py` is the contract that each kind passes.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from pydantic import Field

from cxr_node.deliver.routing import Condition
from cxr_node.domain.commitment import CommitmentResult
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle, Digest, Uid
from cxr_node.domain.section import Section

if TYPE_CHECKING:
    from cxr_node.domain.instance import Identity


class DestinationUnreachable(RetryLater):
    """No connection to the destination, or no response in time: other objects would fail too.

    `retry_after_s` is the delay that the destination asked for, 0 for none.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeliveryRejected(Exception):
    """The destination permanently rejects this object: an operator must act.

    `status` is the C-STORE status where there was one.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Status of the destination's success response, and its comment, which may be empty."""

    status: int
    comment: str = ""


class Destination(Protocol):
    """A receiver of DICOM objects, one call per object. Sending an object twice stores it once."""

    @property
    def name(self) -> str:
        """The name in the settings, in delivery rows and in logs."""
        ...

    def send(self, content: bytes) -> Receipt:
        """Send the DICOM file `content` (PS3.10 section 7); its data set arrives unchanged, or as a function of it.

        Raises
        ------
        RetryLater
            The object may not have arrived; the same call may succeed later.
        DeliveryRejected
            The destination permanently rejects the object.
        """
        ...


class DeliveryVerifier(Protocol):
    """Verifies that a destination has an object that it accepted."""

    def verify(self, transaction_uid: Uid, identity: "Identity", *, digest: Digest) -> CommitmentResult | None:
        """Request the result for one instance; return None if it arrives later on another association.

        `digest` is that of its data set, for a verifier that compares the content.

        Raises
        ------
        RetryLater
            If the request did not arrive.
        DeliveryRejected
            If the destination does not support the request.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationEntity:
    """A DICOM peer in the audit trail: sending to it is DICOM Instances Transferred, a C-FIND is Query."""

    ae_title: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServer:
    """A DICOMweb server in the audit trail, identified by its URL: events are those of a DICOM peer."""

    uri: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportUri:
    """Another target in the audit trail: sending to it is Export."""

    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRule:
    """Verifier of a destination, and when to repeat a request without a result.

    `queried` is the peer of a verifier by C-FIND or DICOMweb, which the audit trail records as a Query.
    """

    verifier: DeliveryVerifier
    retry_after_s: float
    queried: ApplicationEntity | WebServer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Result of a test of a destination, with a next step where something is wrong.

    `accepted` has the transfer syntaxes of each SOP Class that it accepts; None where it did not negotiate.
    """

    message: str
    is_usable: bool = True
    next_step: str = ""
    accepted: Mapping[Uid, tuple[Uid, ...]] | None = None


class DestinationKind(Section):
    """A table of `[[deliver.destinations]]`. Its docstring heads the table in the example configuration."""

    kind: str = Field(description="Kind of destination.")
    name: str = Field(min_length=1, max_length=64, description="Name of the destination in this node.")
    results: tuple[str, ...] = Field(
        ("report", "text", "picture"),
        min_length=1,
        description="Results that it receives; docs/reference/results.md has their names.",
    )
    when: Condition = Field(Condition(), description="Conditions on films; none: the results of every film.")

    scu_sop_classes: ClassVar[tuple[Uid, ...]] = ()
    """SOP Classes that the node uses as SCU besides those of results, for the conformance statement."""

    withdrawn_by: ClassVar[str] = "a rejection note (Key Object Selection)"
    """What tells it of withdrawn results."""

    @classmethod
    @abstractmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""

    @property
    def takes_rejection_notes(self) -> bool:
        """Whether rejection notes are sent to it; its `send` makes of one what its protocol has for it."""
        return True

    @property
    @abstractmethod
    def peer_name(self) -> str:
        """Identifies the receiver: capabilities found for one receiver do not apply to another."""

    @property
    @abstractmethod
    def audit_target(self) -> ApplicationEntity | WebServer | ExportUri:
        """The receiver in the audit trail."""

    @abstractmethod
    def open(self, *, calling_ae_title: AeTitle) -> Destination:
        """Return the destination; `calling_ae_title` is the node's own."""

    @abstractmethod
    def probe(self, sop_class_uids: Sequence[Uid], *, calling_ae_title: AeTitle) -> Probe:
        """Test the destination without sending an object."""

    def verification(self, *, calling_ae_title: AeTitle) -> VerificationRule | None:  # noqa: ARG002  # for kinds that verify
        """Return how deliveries are verified; None if the success of `send` is final."""
        return None
