"""C-STORE destination: results to a PACS (PS3.4 annex B), verified by storage commitment or C-FIND."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from cxr_node.deliver.destination import (
    ApplicationEntity,
    DeliveryRejected,
    Destination,
    DestinationKind,
    Probe,
    Receipt,
    VerificationRule,
)
from cxr_node.deliver.dicom_file import JPEG_BASELINE, DicomFile, converted, read_dicom_file
from cxr_node.deliver.held_associations import Context, HeldAssociation, HeldAssociations
from cxr_node.deliver.outcome import DeliveryOutcome, of_status, warning_text
from cxr_node.deliver.peer import (
    ApplicationEntitySection,
    Peer,
    raise_for_outcome,
    raise_without_response,
    status_text,
)
from cxr_node.domain.commitment import PUSH_MODEL
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle, Uid, parse_ae_title
from cxr_node.domain.section import Seconds, Title
from cxr_node.domain.sop_classes import STUDY_ROOT_FIND, VERIFICATION

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_log = logging.getLogger(__name__)


class CStore(ApplicationEntitySection, DestinationKind):
    """A PACS that receives results by C-STORE."""

    kind: Literal["cstore"] = Field("cstore", description="Kind of destination.")
    calling_ae_title: Title | Literal[""] = Field(
        "", description="Calling AE title of this node; empty: ae_title of [receive]."
    )
    compress_pictures: bool = Field(
        True, description="Send pictures as JPEG where the peer accepts it; otherwise they are sent uncompressed."
    )
    confirm: Literal["none", "commitment", "find"] = Field(
        "none", description="Verification of delivered results: storage commitment, C-FIND, or none."
    )
    confirm_wait_s: float = Field(
        5.0, ge=0, description="Time to wait for the commitment result on the same association, in seconds."
    )
    confirm_again_s: Seconds = Field(60.0, description="Time until the verification is repeated, in seconds.")

    scu_sop_classes: ClassVar[tuple[Uid, ...]] = (VERIFICATION, PUSH_MODEL, STUDY_ROOT_FIND)

    @classmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""
        return cls(name="pacs", host="127.0.0.1", port=4242, ae_title="PACS")

    @property
    def peer_name(self) -> str:
        """AE title and address."""
        return f"{self.ae_title}@{self.host}:{self.port}"

    @property
    def audit_target(self) -> ApplicationEntity:
        """AE title and host."""
        return ApplicationEntity(ae_title=self.ae_title, host=self.host)

    def open(self, *, calling_ae_title: AeTitle) -> Destination:
        """Return the destination."""
        return CStoreDestination(
            name=self.name, peer=self._peer(calling_ae_title), compress_pictures=self.compress_pictures
        )

    def verification(self, *, calling_ae_title: AeTitle) -> VerificationRule | None:
        """Return the verifier that `confirm` selects."""
        from cxr_node.deliver.commitment import CommitmentRequester, FindVerifier

        peer = self._peer(calling_ae_title)
        match self.confirm:
            case "none":
                return None
            case "commitment":
                requester = CommitmentRequester(peer=peer, wait_s=self.confirm_wait_s)
                return VerificationRule(verifier=requester, retry_after_s=self.confirm_again_s)
            case "find":
                verifier = FindVerifier(peer=peer)
                return VerificationRule(
                    verifier=verifier, retry_after_s=self.confirm_again_s, queried=self.audit_target
                )

    def probe(self, sop_class_uids: Sequence[Uid], *, calling_ae_title: AeTitle) -> Probe:
        """Test by C-ECHO, and by negotiation of SOP Classes."""
        from cxr_node.deliver.negotiation import negotiate

        try:
            negotiation = negotiate(self._peer(calling_ae_title), sop_class_uids)
        except RetryLater as error:
            files = ", tls_ca and the certificates" if self.tls_ca else ""
            next_step = f"check that it runs and that host, port, ae_title{files} are right; results wait until then"
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        except DeliveryRejected as error:
            next_step = "have its administrator permit the node's AE title, and check ae_title"
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        by_tls = ", by TLS" if self.tls_ca else ""
        if negotiation.echoed:
            return Probe(message=f"{self.peer_name} responds to C-ECHO{by_tls}", accepted=negotiation.accepted)
        message = f"{self.peer_name} accepts associations{by_tls}, but not Verification"
        return Probe(message=message, next_step="nothing, if it stores", accepted=negotiation.accepted)

    def _peer(self, calling_ae_title: AeTitle) -> Peer:
        own = parse_ae_title(self.calling_ae_title) if self.calling_ae_title else calling_ae_title
        return self.peer(calling_ae_title=own)


class _HeldAssociationEnded(Exception):
    """An association that was held for this object brought no response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CStoreDestination:
    """Sends each object on an association of its own, or with `associations` on the one that the thread holds."""

    name: str
    peer: Peer
    compress_pictures: bool = True
    associations: HeldAssociations | None = None

    def send(self, content: bytes) -> Receipt:
        """Send the data set of the DICOM file `content`; see `Destination.send`.

        In its own transfer syntax, byte for byte. If the peer accepts only another, uncompressed one, the object is
        converted, and the receipt's comment names the transfer syntax. So is a picture that is not to be compressed.
        """
        file = read_dicom_file(content)
        if self.associations is not None:
            return self._send(file, self.associations)
        own = HeldAssociations()
        try:
            return self._send(file, own)
        finally:
            own.release()

    def _send(self, file: DicomFile, associations: HeldAssociations) -> Receipt:
        contexts = self._contexts(file)
        try:
            with associations.association(self.peer, contexts) as held:
                return self._stored(file, held)
        except _HeldAssociationEnded:
            # The peer may have ended it between two objects, or for the object before: this one gets a new one.
            with associations.association(self.peer, contexts) as held:
                return self._stored(file, held)

    def _contexts(self, file: DicomFile) -> list[Context]:
        # A separate context for the file's transfer syntax: within one context the peer chooses.
        is_proposed = self.compress_pictures or file.transfer_syntax_uid != JPEG_BASELINE
        contexts: list[Context] = [(file.sop_class_uid, (file.transfer_syntax_uid,))] if is_proposed else []
        if file.alternatives:
            contexts.append((file.sop_class_uid, file.alternatives))
        return contexts

    def _stored(self, file: DicomFile, held: HeldAssociation) -> Receipt:
        sent = _in_accepted_syntax(file, self.peer.accepted(held.association, file.sop_class_uid))
        response = _c_store(held, sent)
        if "Status" not in response:
            if held.is_reused and not held.has_timed_out:
                raise _HeldAssociationEnded
            raise_without_response(held.association, self.peer, "C-STORE")
        return self._receipt(response.Status, str(response.get("ErrorComment", "")), file, sent)

    def echo(self) -> None:
        """Send C-ECHO; raises as `send` does."""
        from pynetdicom import build_context

        with self.peer.association([build_context(VERIFICATION)]) as association:
            status = association.send_c_echo().get("Status")
            if status is None:
                raise_without_response(association, self.peer, "C-ECHO")
        if status != 0:
            raise RetryLater(f"{self.peer} answered C-ECHO with {status_text(status)}")

    def _receipt(self, status: int, comment: str, file: DicomFile, sent: DicomFile) -> Receipt:
        outcome = of_status(status)
        if outcome is not DeliveryOutcome.DELIVERED:
            raise_for_outcome(
                outcome, f"{self.peer} answered C-STORE with {status_text(status)} {comment}".rstrip(), status=status
            )
        if sent.transfer_syntax_uid != file.transfer_syntax_uid:
            comment = f"sent as {sent.transfer_syntax_uid} {comment}".rstrip()
        warning = warning_text(status)
        level = logging.WARNING if warning else logging.INFO
        _log.log(level, "%s stored %s with status 0x%04X %s", self.name, file.sop_instance_uid, status, warning)
        return Receipt(status=status, comment=f"{warning} {comment}".strip())


def _in_accepted_syntax(file: DicomFile, accepted: list[Uid]) -> DicomFile:
    if file.transfer_syntax_uid in accepted:
        return file
    return converted(file, transfer_syntax_uid=accepted[0])


def _c_store(held: HeldAssociation, file: DicomFile) -> "Dataset":
    """Send the encoded data set of the file unchanged; return an empty data set without a response."""
    from pydicom.dataset import Dataset
    from pynetdicom import _config

    # pynetdicom then sends the bytes of a file unchanged, but only from a path; it reads the option at each call.
    _config.STORE_SEND_CHUNKED_DATASET = True
    descriptor = os.memfd_create("outgoing")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as memory:
            memory.write(file.content)
        return held.association.send_c_store(f"/proc/self/fd/{descriptor}", msg_id=held.objects + 1)
    except RuntimeError:  # the association ended between its opening and this call
        return Dataset()
    finally:
        os.close(descriptor)
