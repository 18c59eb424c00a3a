"""Storage commitment on requested associations: requester, C-FIND verifier, and results to peers (PS3.4 annex J)."""

import logging
import threading
import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu import P_DATA_TF

from cxr_node.deliver.outcome import DeliveryOutcome, of_status
from cxr_node.deliver.peer import Peer, raise_for_outcome, raise_without_response, status_text
from cxr_node.domain.commitment import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST,
    CommitmentResult,
    FailureReason,
    Reference,
)
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Identity
from cxr_node.domain.sop_classes import STUDY_ROOT_FIND
from cxr_node.net.commitment_data_sets import action_information, event_information, parse_event

_log = logging.getLogger(__name__)

_SUCCESS = 0x0000
_INVALID_ARGUMENT = 0x0115

_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequester:
    """Requests storage commitment from an archive.

    Waits for the result on the same association for `wait_s`; later it arrives on an association that the archive
    requests.
    """

    peer: Peer
    wait_s: float

    def verify(
        self,
        transaction_uid: Uid,
        identity: Identity,
        *,
        digest: Digest,  # noqa: ARG002  # of every verifier
    ) -> CommitmentResult | None:
        """Send N-ACTION; see `DeliveryVerifier.verify`."""
        reference = _reference(identity)
        pending = _PendingResult(transaction_uid)
        handlers: list[EventHandlerType] = [
            (evt.EVT_N_EVENT_REPORT, pending.on_event_report),
            (evt.EVT_PDU_SENT, pending.on_sent),
        ]
        roles = [build_role(PUSH_MODEL, scu_role=True)]
        with self.peer.association([build_context(PUSH_MODEL)], roles=roles, handlers=handlers) as association:
            information = action_information(transaction_uid, [reference])
            try:
                response, _ = association.send_n_action(information, REQUEST, PUSH_MODEL, PUSH_MODEL_INSTANCE)
            except RuntimeError:  # the association has ended since it was established
                response = Dataset()
            _check(association, response.get("Status"), self.peer, "N-ACTION")
            pending.wait(association, self.wait_s)
        return pending.result


@dataclass(slots=True)
class _PendingResult:
    """Result of a request, received by the association's thread."""

    transaction_uid: Uid
    received: threading.Event = field(default_factory=threading.Event)
    result: CommitmentResult | None = None

    def on_event_report(self, event: evt.Event) -> tuple[int, Dataset | None]:
        request = cast("N_EVENT_REPORT", event.request)
        try:
            if not isinstance(request.EventInformation, BytesIO):
                return _INVALID_ARGUMENT, None
            result = parse_event(event.event_information)
        except Exception as error:  # noqa: BLE001  # the decoder may raise anything
            _log.warning("storage commitment result not decoded: %s", type(error).__name__)
            return _INVALID_ARGUMENT, None
        if result.transaction_uid != self.transaction_uid:
            return _INVALID_ARGUMENT, None
        self.result = result
        return _SUCCESS, None

    def on_sent(self, event: evt.Event) -> None:
        """Continue only when our response is sent, or the release would precede it."""
        if self.result is not None and isinstance(event.pdu, P_DATA_TF):
            self.received.set()

    def wait(self, association: Association, timeout_s: float) -> None:
        """Return when the result is received, the association has ended, or after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while association.is_established and not self.received.wait(_POLL_S) and time.monotonic() < deadline:
            pass


def send_result(peer: Peer, result: CommitmentResult) -> None:
    """Send a result by N-EVENT-REPORT, on a new association with this node as SCP.

    Raises
    ------
    RetryLater, DeliveryRejected
        If the peer did not accept it, by cause.
    """
    event_type, information = event_information(result)
    roles = [build_role(PUSH_MODEL, scp_role=True)]
    with peer.association([build_context(PUSH_MODEL)], roles=roles) as association:
        try:
            response, _ = association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        except (RuntimeError, ValueError):  # the association has ended, or the peer has not accepted the SCP role
            response = Dataset()
        _check(association, response.get("Status"), peer, "N-EVENT-REPORT")


@dataclass(frozen=True, slots=True, kw_only=True)
class FindVerifier:
    """Verifies by C-FIND, for archives without storage commitment (PS3.4 annex C)."""

    peer: Peer

    def verify(
        self,
        transaction_uid: Uid,
        identity: Identity,
        *,
        digest: Digest,  # noqa: ARG002  # of every verifier
    ) -> CommitmentResult | None:
        """Send C-FIND, Study Root, level IMAGE; see `DeliveryVerifier.verify`. The result is immediate."""
        identifier = identifier_of(identity)
        is_found = False
        status: int | None = None
        with self.peer.association([build_context(STUDY_ROOT_FIND)]) as association:
            try:
                for response, match in association.send_c_find(identifier, UID(STUDY_ROOT_FIND)):
                    status = response.get("Status")
                    # Some archives ignore an unsupported key and return all instances.
                    is_found = is_found or (
                        match is not None and match.get("SOPInstanceUID") == identity.sop_instance_uid
                    )
            except RuntimeError:  # the association has ended since it was established
                status = None
            _check(association, status, self.peer, "C-FIND")
        reference = _reference(identity)
        if is_found:
            return CommitmentResult(transaction_uid=transaction_uid, committed=(reference,))
        missing = (reference, FailureReason.NO_SUCH_OBJECT_INSTANCE)
        return CommitmentResult(transaction_uid=transaction_uid, committed=(), failed=(missing,))


def identifier_of(identity: Identity) -> Dataset:
    """Return the C-FIND Identifier of one instance."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE"
    identifier.StudyInstanceUID = identity.study_instance_uid
    identifier.SeriesInstanceUID = identity.series_instance_uid
    identifier.SOPInstanceUID = identity.sop_instance_uid
    return identifier


def _reference(identity: Identity) -> Reference:
    return Reference(sop_class_uid=identity.sop_class_uid, sop_instance_uid=identity.sop_instance_uid)


def _check(association: Association, status: int | None, peer: Peer, request: str) -> None:
    if status is None:
        raise_without_response(association, peer, request)
    outcome = of_status(status)
    if outcome is not DeliveryOutcome.DELIVERED:
        raise_for_outcome(outcome, f"{peer} answered {request} with {status_text(status)}", status=status)
