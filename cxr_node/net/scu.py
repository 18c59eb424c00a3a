"""Association requestor: pynetdicom's, with TCP_NODELAY, closed sockets, and responses left to their requester."""

import logging
import queue
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.net.association_request import AssociationRequest
from cxr_node.net.lenient_dul import LenientDul


@contextmanager
def associate(
    call: AssociationRequest,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[EventHandlerType] = (),
    tls: ssl.SSLContext | None = None,
) -> Iterator[Association]:
    """Request an association for the block; the caller checks whether it is established.

    Raises
    ------
    OSError
        If the host name cannot be resolved. pynetdicom reports all other failures in the association.
    """
    # Its log has every message and quotes undecodable values. Setting a level makes all loggers look theirs up again.
    log = logging.getLogger("pynetdicom")
    if log.level != logging.CRITICAL:
        log.setLevel(logging.CRITICAL)
    association = _entity(call).associate(
        call.host,
        call.port,
        contexts=list(contexts),
        ae_title=call.called_ae_title,
        tls_args=None if tls is None else (tls, call.host),
        ext_neg=list(roles),
        evt_handlers=list(handlers),
    )
    try:
        yield association
    finally:
        _end(association)


def other_response(association: Association) -> str:
    """Return that the peer has answered another message than the last, for an error message; empty if it has not."""
    dimse = association.dimse
    if not isinstance(dimse, RequestorDimse) or dimse.other_message_id is None:
        return ""
    return f": its response is to message {dimse.other_message_id}, not {dimse.message_id}"


def has_timed_out(association: Association) -> bool:
    """Whether the peer has left a request without a response for the whole DIMSE time-out."""
    dimse = association.dimse
    return isinstance(dimse, RequestorDimse) and dimse.has_timed_out


class RequestorDimse(DIMSEServiceProvider):
    """Gives responses to the caller only, and only those to its last request.

    pynetdicom pauses the association's thread while a response is awaited, but may treat it as paused when it has just
    been resumed. The thread then consumes and drops the response, and the caller waits for its time-out. N-EVENT-REPORT
    requests of the peer use another path. pynetdicom does not compare Message IDs: without an asynchronous operations
    window a response to another message is none (PS3.7 section 7.5).
    """

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self.message_id: int | None = None
        self.other_message_id: int | None = None
        self.has_timed_out = False

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; remember the Message ID of a request."""
        if getattr(primitive, "MessageIDBeingRespondedTo", None) is None:
            self.message_id = primitive.MessageID
        super().send_msg(primitive, context_id)

    def get_msg(self, block: bool = False) -> Any:
        """Return the response to the last request, or (None, None) if there is none."""
        if not block:
            return None, None
        # pynetdicom returns the same for a time-out as for an abort.
        try:
            context_id, message = self.msg_queue.get(timeout=self.dimse_timeout)
        except queue.Empty:
            self.has_timed_out = True
            return None, None
        responded_to = getattr(message, "MessageIDBeingRespondedTo", None)
        if responded_to in (None, self.message_id):
            return context_id, message
        self.other_message_id = responded_to
        return None, None


def _entity(call: AssociationRequest) -> AE:
    entity = _Requestor(ae_title=call.calling_ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = call.connection_timeout_s
    entity.acse_timeout = call.acse_timeout_s
    entity.dimse_timeout = call.dimse_timeout_s
    entity.network_timeout = call.network_timeout_s
    return entity


class _Requestor(AE):
    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> AssociationSocket:
        assoc.dul, assoc.dimse = LenientDul(assoc), RequestorDimse(assoc)
        # The setters pass them to the timers of the new providers.
        assoc.acse_timeout, assoc.network_timeout = assoc.acse_timeout, assoc.network_timeout
        assoc.dimse_timeout = assoc.dimse_timeout
        connection = _Connection(assoc, address=address)
        connection.tls_args = tls_args
        return connection


class _Connection(AssociationSocket):
    def connect(self, primitive: T_CONNECT) -> None:
        super().connect(primitive)
        if self.socket is not None:
            # Nagle's algorithm would delay the end of each message until the one before is acknowledged.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        # pynetdicom's requestor reads `_is_connected` when its thread resumes after the connection is open. The peer
        # may have rejected the association by then, and the rejection would count as a failed connection.
        was_connected = self._is_connected
        super().close()
        self._is_connected = was_connected

    def _shutdown_socket(self) -> None:
        # pynetdicom leaks a socket whose shutdown fails, as after a refused connection.
        connection = self.socket
        super()._shutdown_socket()
        if connection is not None:
            connection.close()


def _end(association: Association) -> None:
    if association.is_established:
        association.release()
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        connection.close()
