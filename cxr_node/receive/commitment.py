"""Storage commitment on received associations: N-ACTION of modalities, N-EVENT-REPORT of archives (PS3.4 annex J)."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.events import EventHandlerType

from cxr_node.domain.commitment import (
    FAILURES_EXIST,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST,
    REQUEST_SUCCESSFUL,
    CommitmentResult,
    Reference,
)
from cxr_node.domain.errors import RejectObject, RetryLater
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Sender
from cxr_node.net.commitment_data_sets import event_information, parse_action, parse_event
from cxr_node.receive.sender import sender_of
from cxr_node.receive.upper_layer.bounded_dimse import BoundedDimse

_log = logging.getLogger(__name__)

_MAXIMUM_INFORMATION_BYTES = 4 << 20
"""Ten thousand instances take less than 2 MiB."""

_MAXIMUM_PENDING = 16
"""Requests of one association that wait for their results; more are refused."""
_TURN_S = 0.5

_SUCCESS = 0x0000
_PROCESSING_FAILURE = 0x0110
_NO_SUCH_INSTANCE = 0x0112
_NO_SUCH_EVENT = 0x0113
_INVALID_ARGUMENT = 0x0115
_NO_SUCH_ACTION = 0x0123
_RESOURCE_LIMITATION = 0x0213


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentProvider:
    """Callbacks for requests and results, called from the threads of associations.

    Attributes
    ----------
    store_request
        Makes a request durable and returns its number, or raises RejectObject.
    store_result
        Stores an archive's result; returns whether a request of ours has its Transaction UID.
    result
        Returns the result of a request to send on its own association; None if a new association delivers it. Given
        with the request is whether the association has ended, after which RetryLater may be raised.
    result_delivered
        Called when the peer has confirmed the result.
    """

    store_request: Callable[[Uid, tuple[Reference, ...], Sender], int]
    store_result: Callable[[CommitmentResult], bool]
    result: Callable[[int, Callable[[], bool]], CommitmentResult | None]
    result_delivered: Callable[[int], None]


class CommitmentScp:
    """Responds to N-ACTION and N-EVENT-REPORT.

    One request at a time is answered on its own association, and none any more once that has ended: instances are
    read and digested, which a peer could order without bound.
    """

    def __init__(self, provider: CommitmentProvider) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._pending: dict[Association, deque[int]] = {}
        self._answered: set[Association] = set()
        """Associations with a thread that answers their requests."""

    @property
    def handlers(self) -> Sequence[EventHandlerType]:
        """Event handlers to bind."""
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
        status = _information_status(request.ActionInformation)
        if status != _SUCCESS:
            return status, None
        with self._lock:
            if len(self._pending.get(event.assoc, ())) >= _MAXIMUM_PENDING:
                return _RESOURCE_LIMITATION, None
        try:
            transaction_uid, instances = parse_action(event.action_information)
        except Exception as error:  # noqa: BLE001  # the decoder may raise anything
            return _rejected(sender, error, _INVALID_ARGUMENT), None
        try:
            number = self._provider.store_request(transaction_uid, instances, sender)
        except Exception as error:  # noqa: BLE001  # the peer must get a response, and never Success
            return _rejected(sender, error, _status_of(error)), None
        _log.info("storage commitment requested by %s for %d instances", sender.calling_ae_title, len(instances))
        with self._lock:
            self._pending.setdefault(event.assoc, deque()).append(number)
        return _SUCCESS, None

    def _on_n_event_report(self, event: evt.Event) -> tuple[int, None]:
        request, sender = cast("N_EVENT_REPORT", event.request), sender_of(event.assoc)
        if request.EventTypeID not in (REQUEST_SUCCESSFUL, FAILURES_EXIST):
            return _NO_SUCH_EVENT, None
        status = _information_status(request.EventInformation)
        if status != _SUCCESS:
            return status, None
        try:
            result = parse_event(event.event_information)
        except Exception as error:  # noqa: BLE001  # the decoder may raise anything
            return _rejected(sender, error, _INVALID_ARGUMENT), None
        try:
            is_ours = self._provider.store_result(result)
        except Exception as error:  # noqa: BLE001  # the peer must get a response, and never Success
            return _rejected(sender, error, _PROCESSING_FAILURE), None
        _log.info("storage commitment result from %s for %s", sender.calling_ae_title, result.transaction_uid)
        return (_SUCCESS if is_ours else _INVALID_ARGUMENT), None

    def _on_sent(self, event: evt.Event) -> None:
        """Answer on the same association after the N-ACTION response."""
        with self._lock:
            if not self._pending.get(event.assoc) or event.assoc in self._answered:
                return
            self._answered.add(event.assoc)
        threading.Thread(target=self._answer, args=(event.assoc,), name="commitment", daemon=True).start()

    def _on_closed(self, event: evt.Event) -> None:
        with self._lock:
            self._pending.pop(event.assoc, None)

    def _answer(self, association: Association) -> None:
        """Answer the requests of an association one after the other."""
        while True:
            with self._lock:
                pending = self._pending.get(association)
                if not pending:
                    self._answered.discard(association)
                    return
                number = pending.popleft()
            self._send_result(association, number)

    def _result(self, association: Association, number: int) -> CommitmentResult | None:
        """Return a result once no other is being read; None if the association has ended, or another delivers it."""

        def is_over() -> bool:
            return not association.is_established

        while not self._reading.acquire(timeout=_TURN_S):
            if is_over():
                return None
        try:
            return self._provider.result(number, is_over)
        finally:
            self._reading.release()

    def _send_result(self, association: Association, number: int) -> None:
        try:
            result = self._result(association, number)
            if result is None:
                return
            event_type, information = event_information(result)
            with cast("BoundedDimse", association.dimse).requesting():
                response, _ = association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
            if response.get("Status") == _SUCCESS:
                self._provider.result_delivered(number)
        except Exception as error:  # noqa: BLE001  # the association has ended, or the peer does not respond: the job retries
            _log.warning(
                "result of commitment request %d not sent on its association: %s", number, type(error).__name__
            )


def _information_status(information: object) -> int:
    if not isinstance(information, BytesIO):
        return _INVALID_ARGUMENT
    return _SUCCESS if information.getbuffer().nbytes <= _MAXIMUM_INFORMATION_BYTES else _RESOURCE_LIMITATION


def _status_of(error: Exception) -> int:
    match error:
        case RejectObject():
            return _INVALID_ARGUMENT
        case RetryLater():
            return _RESOURCE_LIMITATION
        case _:
            return _PROCESSING_FAILURE


def _rejected(sender: Sender, error: Exception, status: int) -> int:
    # Another library's message may quote an element value: only the type is logged.
    _log.warning(
        "rejected a commitment message of %s with status 0x%04X: %s",
        sender.calling_ae_title,
        status,
        type(error).__name__,
    )
    return status
