"""Films among the messages of an association: taken past pynetdicom, and answered by the association's own thread."""

import threading
from collections.abc import Callable
from typing import Any, Protocol, cast

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext

from cxr_node.domain.identifiers import parse_uid
from cxr_node.domain.instance import Sender, StagedInstance, StagedObject
from cxr_node.receive.sender import sender_of
from cxr_node.receive.status import StoreStatus
from cxr_node.receive.upper_layer.command_set import PDU_TO_VALUE_BYTES, pdu_length, store_request, store_response
from cxr_node.receive.upper_layer.incoming import IncomingDataSet
from cxr_node.receive.upper_layer.messages import IS_COMMAND, IS_LAST, BoundedMessages, OutOfPlace

_MOST_WAITING = 4
"""Messages that a peer may send ahead of their answers before nothing more is read: a film holds a file."""

Answer = Callable[[Association, Callable[[Sender], StagedInstance]], tuple[StoreStatus, str]]
"""`Storing.answer`."""


class EncodedAnswer(P_DATA):
    """A P-DATA request whose PDU is made already."""

    def __init__(self, pdu: bytes, *, context_id: int) -> None:
        super().__init__()
        self.pdu = pdu
        self.presentation_data_value_list.append((context_id, pdu[PDU_TO_VALUE_BYTES:]))


class Streaming(Protocol):
    """What is asked of an association that films stream on."""

    is_to_pause: bool

    def accepted(self, context_id: int) -> PresentationContext | None:
        """Return the presentation context with this ID that was accepted."""


class StreamingDimse(BoundedMessages):
    """Takes the fragments of films past pynetdicom, and leaves every other message to it.

    `aside` makes what the bytes of a film are written to, `answer` says what its sender is told.
    """

    def __init__(
        self, association: Association, *, aside: Callable[[], StagedObject], answer: Answer, **options: Any
    ) -> None:
        super().__init__(association, **options)
        self._streaming = cast("Streaming", association)
        self._aside = aside
        self._answer = answer
        self._under_way: IncomingDataSet | None = None
        self._lock = threading.Lock()
        self._has_ended = False

    @property
    def is_full(self) -> bool:
        """Whether so many messages wait for their answers that no more is read."""
        # Who waits for an answer of the peer's must be able to hear it.
        return not self._streaming.is_to_pause and self.msg_queue.qsize() >= _MOST_WAITING

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message that is not a film; those are answered here, by the thread of the association."""
        while True:
            context_id, message = super().get_msg(block)
            if not isinstance(message, IncomingDataSet):
                return context_id, message
            self._serve(message)
            if self._streaming.is_to_pause or not self.dul.to_user_queue.empty():
                return None, None

    @property
    def _is_between_messages(self) -> bool:
        return self._under_way is None and super()._is_between_messages

    def _receive(self, context_id: int, value: bytes | memoryview) -> None:
        film = self._under_way
        if film is None:
            film = self._begun(context_id, value) if self.message is None else None
            if film is None:
                super()._receive(context_id, value)
            self._under_way = film
            return
        if value[0] & IS_COMMAND:
            raise OutOfPlace("a command within a data set")
        with memoryview(value) as whole, whole[1:] as fragment:
            film.write(fragment)
        if value[0] & IS_LAST:
            self._under_way = None
            self._put(film)

    def _begun(self, context_id: int, value: bytes | memoryview) -> IncomingDataSet | None:
        """Return the film whose C-STORE request this fragment is, whole; None for any other."""
        if value[0] & (IS_COMMAND | IS_LAST) != IS_COMMAND | IS_LAST:
            return None
        request = store_request(bytes(value[1:]))
        context = self._streaming.accepted(context_id)
        if request is None or context is None or str(context.abstract_syntax) != request.sop_class_uid:
            return None
        return IncomingDataSet(
            request,
            context_id=context_id,
            transfer_syntax_uid=parse_uid(context.transfer_syntax[0]),
            sender=sender_of(self.assoc),
            aside=self._aside,
            maximum_object_bytes=self._maximum_object_bytes,
            has_room=self._has_room,
        )

    def _serve(self, film: IncomingDataSet) -> None:
        try:
            status, comment = self._answer(self.assoc, lambda _sender: film.arrival())
            if self.assoc.is_established:
                self._send(film, status, comment)
        except Exception as error:  # noqa: BLE001  # without an answer the peer would wait until it is tired of it
            self._abort(f"it could not be answered ({type(error).__name__})")
        finally:
            film.close()

    def _send(self, film: IncomingDataSet, status: StoreStatus, comment: str) -> None:
        pdu = store_response(film.request, context_id=film.context_id, status=status, error_comment=comment)
        if 0 < self.maximum_pdu_size < pdu_length(pdu):
            self.send_msg(_response(film, status, comment), film.context_id)
        else:
            self.send_pdu(EncodedAnswer(pdu, context_id=film.context_id))

    def _put(self, film: IncomingDataSet) -> None:
        with self._lock:
            if not self._has_ended:
                self.msg_queue.put((film.context_id, cast("Any", film)))  # in its turn among the other messages
                return
        film.close()

    def end(self) -> None:
        """Let go of films that nobody will answer; called when the thread of the association ends."""
        with self._lock:
            self._has_ended = True
        while not self.msg_queue.empty():
            message = cast("Any", self.msg_queue.get()[1])
            if isinstance(message, IncomingDataSet):
                message.close()

    def let_go(self) -> None:
        """Let go of the film that was on its way; called when the thread of the connection ends."""
        film, self._under_way = self._under_way, None
        if film is not None:
            film.close()


def _response(film: IncomingDataSet, status: int, comment: str) -> C_STORE:
    """Return the answer as pynetdicom sends it, in fragments."""
    response = C_STORE()
    response.MessageIDBeingRespondedTo = film.request.message_id
    response.AffectedSOPClassUID = film.request.sop_class_uid
    response.AffectedSOPInstanceUID = film.request.sop_instance_uid
    response.Status = status
    if comment:
        response.ErrorComment = comment  # type: ignore[assignment]  # where its class says that there is none yet
    return response
