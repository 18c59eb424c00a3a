"""Association requestor: pynetdicom's, with TCP_NODELAY, closed sockets, and responses left to their requester."""

import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.net.association_request import AssociationRequest


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
    # Its log has every message and quotes undecodable values.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    association = _entity(call).associate(
        call.host,
        call.port,
        contexts=list(contexts),
        ae_title=call.called_ae_title,
        tls_args=None if tls is None else (tls, call.host),
        ext_neg=list(roles),
        evt_handlers=list(handlers),
    )
    deliver_responses_to_requestor(association)
    try:
        yield association
    finally:
        _end(association)


def deliver_responses_to_requestor(association: Association) -> None:
    """Prevent the association's thread from consuming responses.

    pynetdicom pauses that thread while a response is awaited, but may treat it as paused when it has just been resumed.
    The thread then consumes and drops the response, and the caller waits for its time-out. N-EVENT-REPORT requests of
    the peer use another path.
    """
    get_message = association.dimse.get_msg

    def get_msg(block: bool = False) -> Any:
        return get_message(block) if block else (None, None)

    association.dimse.get_msg = get_msg  # type: ignore[method-assign]


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
        connection = _Connection(assoc, address=address)
        connection.tls_args = tls_args
        return connection


class _Connection(AssociationSocket):
    def connect(self, primitive: T_CONNECT) -> None:
        super().connect(primitive)
        if self.socket is not None:
            # Nagle's algorithm would delay the end of each message until the one before is acknowledged.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

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
