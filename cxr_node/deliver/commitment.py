"""Storage commitment as we speak it to peers: asking an archive, and telling a modality (PS3.4 annex J)."""

import logging
import threading
import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import Protocol, cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu import P_DATA_TF

from cxr_node.deliver.outcome import Outcome, of_status
from cxr_node.deliver.peer import Peer, raise_for_outcome, spoken_status
from cxr_node.domain.commitment import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST,
    CommitmentResult,
    FailureReason,
    Reference,
    action_information,
    event_information,
    parse_event,
)
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Identity

_log = logging.getLogger(__name__)

_SUCCESS = 0x0000
_CANNOT_READ = 0x0115
FIND_SOP_CLASS = Uid("1.2.840.10008.5.1.4.1.2.2.1")
"""Study Root Query/Retrieve Information Model - FIND."""

_LOOK_S = 0.05


class DeliveryVerifier(Protocol):
    """Finds out whether a destination has what it took."""

    def verify(self, transaction_uid: Uid, identity: Identity) -> CommitmentResult | None:
        """Ask for one instance; return the answer, or None if it is still to come.

        Raises
        ------
        RetryLater
            If the question did not arrive.
        Refused
            If the archive does not answer such questions.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequester:
    """Asks an archive whether it vouches for what it was sent.

    The answer is waited for on the same association for `wait_s`; after that it comes on one that the
    archive opens to us.
    """

    remote: Peer
    wait_s: float

    def verify(self, transaction_uid: Uid, identity: Identity) -> CommitmentResult | None:
        """Ask by N-ACTION; see `Confirms.ask`."""
        reference = _reference(identity)
        waiting = _Waiting(transaction_uid)
        handlers: list[EventHandlerType] = [
            (evt.EVT_N_EVENT_REPORT, waiting.on_event_report),
            (evt.EVT_PDU_SENT, waiting.on_sent),
        ]
        roles = [build_role(PUSH_MODEL, scu_role=True)]
        with self.remote.association([build_context(PUSH_MODEL)], roles=roles, handlers=handlers) as association:
            information = action_information(transaction_uid, [reference])
            try:
                answer, _ = association.send_n_action(information, REQUEST, PUSH_MODEL, PUSH_MODEL_INSTANCE)
            except RuntimeError:  # the association ended between its opening and this call
                answer = Dataset()
            _check(answer.get("Status"), f"{self.remote} answered N-ACTION")
            waiting.wait(association, self.wait_s)
        return waiting.report


@dataclass(slots=True)
class _Waiting:
    """The answer to a question, which another thread hears."""

    transaction_uid: Uid
    answered: threading.Event = field(default_factory=threading.Event)
    report: CommitmentResult | None = None

    def on_event_report(self, event: evt.Event) -> tuple[int, Dataset | None]:
        request = cast("N_EVENT_REPORT", event.request)
        try:
            if not isinstance(request.EventInformation, BytesIO):
                return _CANNOT_READ, None
            report = parse_event(event.event_information)
        except Exception as error:  # noqa: BLE001  # whatever a peer's bytes made of the decoder
            _log.warning("a report of storage commitment cannot be read: %s", type(error).__name__)
            return _CANNOT_READ, None
        if report.transaction_uid != self.transaction_uid:
            return _CANNOT_READ, None
        self.report = report
        return _SUCCESS, None

    def on_sent(self, event: evt.Event) -> None:
        """Go on only when our response is on the wire, or the release would overtake it."""
        if self.report is not None and isinstance(event.pdu, P_DATA_TF):
            self.answered.set()

    def wait(self, association: Association, seconds: float) -> None:
        """Return when the answer is here, the association has ended, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while association.is_established and not self.answered.wait(_LOOK_S) and time.monotonic() < deadline:
            pass


def report_result(remote: Peer, report: CommitmentResult) -> None:
    """Tell a peer what we vouch for, on an association of its own in which we are the SCP.

    Raises
    ------
    RetryLater, Refused
        If the peer did not take it, sorted by why.
    """
    event_type, information = event_information(report)
    roles = [build_role(PUSH_MODEL, scp_role=True)]
    with remote.association([build_context(PUSH_MODEL)], roles=roles) as association:
        try:
            answer, _ = association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        except (RuntimeError, ValueError):  # the association has ended, or the peer does not let us be the SCP
            answer = Dataset()
    _check(answer.get("Status"), f"{remote} answered N-EVENT-REPORT")


@dataclass(frozen=True, slots=True, kw_only=True)
class FindVerifier:
    """Looks whether an archive without storage commitment finds what it was sent (C-FIND, PS3.4 annex C)."""

    remote: Peer

    def verify(self, transaction_uid: Uid, identity: Identity) -> CommitmentResult | None:
        """Ask by C-FIND, Study Root, level IMAGE; see `Confirms.ask`. The answer is there at once."""
        identifier = identifier_of(identity)
        found = False
        status: int | None = None
        with self.remote.association([build_context(FIND_SOP_CLASS)]) as association:
            try:
                for answer, match in association.send_c_find(identifier, UID(FIND_SOP_CLASS)):
                    status = answer.get("Status")
                    # Some archives answer a key that they do not know with everything they have.
                    found = found or (match is not None and match.get("SOPInstanceUID") == identity.sop_instance_uid)
            except RuntimeError:  # the association ended between its opening and this call
                status = None
        _check(status, f"{self.remote} answered C-FIND")
        reference = _reference(identity)
        if found:
            return CommitmentResult(transaction_uid=transaction_uid, kept=(reference,))
        missing = (reference, FailureReason.NO_SUCH_OBJECT_INSTANCE)
        return CommitmentResult(transaction_uid=transaction_uid, kept=(), failed=(missing,))


def identifier_of(identity: Identity) -> Dataset:
    """Return what is asked by C-FIND for one instance."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE"
    identifier.StudyInstanceUID = identity.study_instance_uid
    identifier.SeriesInstanceUID = identity.series_instance_uid
    identifier.SOPInstanceUID = identity.sop_instance_uid
    return identifier


def _reference(identity: Identity) -> Reference:
    return Reference(sop_class_uid=identity.sop_class_uid, sop_instance_uid=identity.sop_instance_uid)


def _check(status: int | None, sentence: str) -> None:
    if status is None:
        raise RetryLater(f"{sentence} with nothing")
    outcome = of_status(status)
    if outcome is not Outcome.DELIVERED:
        raise_for_outcome(outcome, f"{sentence} with {spoken_status(status)}", status=status)
