"""DIMSE provider of the streaming path: C-STORE fragments bypass pynetdicom; the association's thread responds."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol, cast

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext

from cxr_node.domain.errors import type_and_place
from cxr_node.domain.identifiers import parse_uid
from cxr_node.domain.instance import Sender, StagedInstance, StagedObject
from cxr_node.receive.sender import sender_of
from cxr_node.receive.status import StoreStatus
from cxr_node.receive.upper_layer.bounded_dimse import IS_COMMAND, IS_LAST, BoundedDimse, UnexpectedFragment
from cxr_node.receive.upper_layer.command_set import PDV_OFFSET_BYTES, pdu_length, store_request, store_response
from cxr_node.receive.upper_layer.incoming import IncomingDataSet

_log = logging.getLogger(__name__)

_MAXIMUM_PENDING_MESSAGES = 4
"""Messages without a response before reading stops (backpressure): each film holds an open file."""

Respond = Callable[[Association, Callable[[Sender], StagedInstance]], tuple[StoreStatus, str]]
"""`StoreScp.respond`."""


class EncodedResponse(P_DATA):
    """A P-DATA request primitive with its encoded PDU."""

    def __init__(self, pdu: bytes, *, context_id: int) -> None:
        super().__init__()
        self.pdu = pdu
        self.presentation_data_value_list.append((context_id, pdu[PDV_OFFSET_BYTES:]))


class PausableAssociation(Protocol):
    """The association of the streaming path."""

    is_pausing: bool

    def accepted_context(self, context_id: int) -> PresentationContext | None:
        """Return the accepted presentation context with this ID, if any."""


class StreamingDimse(BoundedDimse):
    """Streams the data sets of C-STORE requests; all other messages go through pynetdicom.

    `stage` creates the staged object of a film, `respond` returns status and comment of the response.
    """

    def __init__(
        self, association: Association, *, stage: Callable[[], StagedObject], respond: Respond, **options: Any
    ) -> None:
        super().__init__(association, **options)
        self._pausable = cast("PausableAssociation", association)
        self._stage = stage
        self._respond = respond
        self._incoming: IncomingDataSet | None = None
        self._lock = threading.Lock()
        self._has_ended = False

    @property
    def is_full(self) -> bool:
        """Whether so many messages have no response yet that reading stops."""
        # A thread that waits for a response of the peer (N-EVENT-REPORT-RSP) needs reading to go on.
        return not self._pausable.is_pausing and self.msg_queue.qsize() >= _MAXIMUM_PENDING_MESSAGES

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message that pynetdicom serves; streamed C-STORE requests get their response here."""
        while True:
            context_id, message = super().get_msg(block)
            if not isinstance(message, IncomingDataSet):
                return context_id, message
            self._send_response(message)
            if self._pausable.is_pausing or not self.dul.to_user_queue.empty():
                return None, None

    @property
    def _is_between_messages(self) -> bool:
        return self._incoming is None and super()._is_between_messages

    def _append(self, context_id: int, value: bytes | memoryview) -> None:
        film = self._incoming
        if film is None:
            film = self._begin(context_id, value) if self.message is None else None
            if film is None:
                super()._append(context_id, value)
            self._incoming = film
            return
        if value[0] & IS_COMMAND:
            raise UnexpectedFragment("a command fragment within a data set")
        with memoryview(value) as pdv, pdv[1:] as fragment:
            film.write(fragment)
        if value[0] & IS_LAST:
            self._incoming = None
            self._enqueue(film)

    def _begin(self, context_id: int, value: bytes | memoryview) -> IncomingDataSet | None:
        """Return the data set that follows, if this fragment is a whole C-STORE request in its plain form."""
        if value[0] & (IS_COMMAND | IS_LAST) != IS_COMMAND | IS_LAST:
            return None
        request = store_request(bytes(value[1:]))
        context = self._pausable.accepted_context(context_id)
        if request is None or context is None or str(context.abstract_syntax) != request.sop_class_uid:
            return None
        return IncomingDataSet(
            request,
            context_id=context_id,
            transfer_syntax_uid=parse_uid(context.transfer_syntax[0]),
            sender=sender_of(self.assoc),
            stage=self._stage,
            maximum_object_bytes=self._maximum_object_bytes,
            has_space=self._has_space,
        )

    def _send_response(self, film: IncomingDataSet) -> None:
        try:
            status, comment = self._respond(self.assoc, lambda _sender: film.finish())
            if self.assoc.is_established:
                self._send(film, status, comment)
        except Exception as error:  # noqa: BLE001  # without a response the peer would wait for its time-out
            _log.error("response to a film: %s", type_and_place(error))
            self._abort("the response failed")
        finally:
            film.close()

    def _send(self, film: IncomingDataSet, status: StoreStatus, comment: str) -> None:
        pdu = store_response(film.request, context_id=film.context_id, status=status, error_comment=comment)
        if 0 < self.maximum_pdu_size < pdu_length(pdu):
            self.send_msg(_c_store_response(film, status, comment), film.context_id)
        else:
            self.send_pdu(EncodedResponse(pdu, context_id=film.context_id))

    def _enqueue(self, film: IncomingDataSet) -> None:
        with self._lock:
            if not self._has_ended:
                self.msg_queue.put((film.context_id, cast("Any", film)))  # in order with other messages
                return
        film.close()

    def discard_pending(self) -> None:
        """Close films without a response; called when the association's thread ends."""
        with self._lock:
            self._has_ended = True
        while not self.msg_queue.empty():
            message = cast("Any", self.msg_queue.get()[1])
            if isinstance(message, IncomingDataSet):
                message.close()

    def discard_incoming(self) -> None:
        """Close the incomplete film; called when the connection's thread ends."""
        film, self._incoming = self._incoming, None
        if film is not None:
            film.close()


def _c_store_response(film: IncomingDataSet, status: int, comment: str) -> C_STORE:
    """Return the response as a primitive that pynetdicom sends in fragments."""
    response = C_STORE()
    response.MessageIDBeingRespondedTo = film.request.message_id
    response.AffectedSOPClassUID = film.request.sop_class_uid
    response.AffectedSOPInstanceUID = film.request.sop_instance_uid
    response.Status = status
    if comment:
        response.ErrorComment = comment  # type: ignore[assignment]  # its class declares None
    return response
