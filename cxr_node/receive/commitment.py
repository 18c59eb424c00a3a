"""Storage commitment on the associations that peers open: modalities ask us, archives report to us (PS3.4 annex J)."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.events import EventHandlerType

from cxr_node.domain.commitment import (
    ALL_KEPT,
    NOT_ALL_KEPT,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST,
    CommitmentResult,
    Reference,
    event_information,
    parse_action,
    parse_event,
)
from cxr_node.domain.errors import RejectObject, RetryLater
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Sender
from cxr_node.receive.sender import sender_of
from cxr_node.receive.upper_layer.messages import BoundedMessages

_log = logging.getLogger(__name__)

_LARGEST_INFORMATION_BYTES = 4 << 20
"""Ten thousand instances take less than two."""

_SUCCESS = 0x0000
_PROCESSING_FAILURE = 0x0110
_NO_SUCH_INSTANCE = 0x0112
_NO_SUCH_EVENT = 0x0113
_INVALID_ARGUMENT = 0x0115
_NO_SUCH_ACTION = 0x0123
_RESOURCE_LIMITATION = 0x0213


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentProvider:
    """What is done with requests and reports. All are called from the threads of associations.

    `remember` makes a request durable and returns its number, or raises Refuse. `reported` takes an
    archive's report and returns whether it was asked for. `answer` makes the report for a request that is
    to be answered on its own association, or None where the peer is called instead; `answered` is told that it took it.
    """

    remember: Callable[[Uid, tuple[Reference, ...], Sender], int]
    reported: Callable[[CommitmentResult], bool]
    answer: Callable[[int], CommitmentResult | None]
    answered: Callable[[int], None]


class Commitments:
    """Answers N-ACTION and N-EVENT-REPORT."""

    def __init__(self, vouching: CommitmentProvider) -> None:
        self._vouching = vouching
        self._lock = threading.Lock()
        self._to_answer: dict[Association, list[int]] = {}

    @property
    def handlers(self) -> Sequence[EventHandlerType]:
        """What to bind to an Application Entity."""
        return [
            (evt.EVT_N_ACTION, self._on_n_action),
            (evt.EVT_N_EVENT_REPORT, self._on_n_event_report),
            (evt.EVT_DIMSE_SENT, self._on_sent),
            (evt.EVT_CONN_CLOSE, self._on_closed),
        ]

    def _on_n_action(self, event: evt.Event) -> tuple[int, None]:
        request, sender = cast("N_ACTION", event.request), sender_of(event.assoc)
        if request.ActionTypeID != REQUEST:
            return _NO_SUCH_ACTION, None
        if str(request.RequestedSOPInstanceUID) != PUSH_MODEL_INSTANCE:
            return _NO_SUCH_INSTANCE, None
        status = _readable(request.ActionInformation)
        if status != _SUCCESS:
            return status, None
        try:
            transaction_uid, instances = parse_action(event.action_information)
        except Exception as error:  # noqa: BLE001  # whatever a peer's bytes made of the decoder
            return _refused(sender, error, _INVALID_ARGUMENT), None
        try:
            number = self._vouching.remember(transaction_uid, instances, sender)
        except Exception as error:  # noqa: BLE001  # the peer must get an answer, and never Success
            return _refused(sender, error, _status_of(error)), None
        _log.info("%s asks whether %d instances are kept", sender.calling_ae_title, len(instances))
        with self._lock:
            self._to_answer.setdefault(event.assoc, []).append(number)
        return _SUCCESS, None

    def _on_n_event_report(self, event: evt.Event) -> tuple[int, None]:
        request, sender = cast("N_EVENT_REPORT", event.request), sender_of(event.assoc)
        if request.EventTypeID not in (ALL_KEPT, NOT_ALL_KEPT):
            return _NO_SUCH_EVENT, None
        status = _readable(request.EventInformation)
        if status != _SUCCESS:
            return status, None
        try:
            report = parse_event(event.event_information)
        except Exception as error:  # noqa: BLE001  # whatever a peer's bytes made of the decoder
            return _refused(sender, error, _INVALID_ARGUMENT), None
        try:
            is_ours = self._vouching.reported(report)
        except Exception as error:  # noqa: BLE001  # the peer must get an answer, and never Success
            return _refused(sender, error, _PROCESSING_FAILURE), None
        _log.info("%s reports on %s", sender.calling_ae_title, report.transaction_uid)
        return (_SUCCESS if is_ours else _INVALID_ARGUMENT), None

    def _on_sent(self, event: evt.Event) -> None:
        """Answer on the association itself, behind the response to the request, which is being sent."""
        with self._lock:
            numbers = self._to_answer.pop(event.assoc, [])
        for number in numbers:
            threading.Thread(target=self._answer, args=(event.assoc, number), name="commitment", daemon=True).start()

    def _on_closed(self, event: evt.Event) -> None:
        with self._lock:
            self._to_answer.pop(event.assoc, None)

    def _answer(self, association: Association, number: int) -> None:
        try:
            report = self._vouching.answer(number)
            if report is None:
                return
            event_type, information = event_information(report)
            with cast("BoundedMessages", association.dimse).asking():
                answer, _ = association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
            if answer.get("Status") == _SUCCESS:
                self._vouching.answered(number)
        except Exception as error:  # noqa: BLE001  # the peer has gone, or does not listen: the job remembers
            _log.warning("request %d was not answered on its association: %s", number, type(error).__name__)


def _readable(information: object) -> int:
    if not isinstance(information, BytesIO):
        return _INVALID_ARGUMENT
    return _SUCCESS if information.getbuffer().nbytes <= _LARGEST_INFORMATION_BYTES else _RESOURCE_LIMITATION


def _status_of(error: Exception) -> int:
    match error:
        case RejectObject():
            return _INVALID_ARGUMENT
        case RetryLater():
            return _RESOURCE_LIMITATION
        case _:
            return _PROCESSING_FAILURE


def _refused(sender: Sender, error: Exception, status: int) -> int:
    # The text of another library's error may quote a value: only its kind is logged.
    _log.warning("refused %s with status 0x%04X: %s", sender.calling_ae_title, status, type(error).__name__)
    return status
