"""The association-requestor, for whoever calls a peer: pynetdicom's, with connections that send at once and close."""

import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRequest:
    """Whom to call, how we call ourselves, and how long each wait may take."""

    host: str
    port: int
    called_ae_title: AeTitle
    calling_ae_title: AeTitle
    connection_timeout_s: float = 10.0
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    network_timeout_s: float = 60.0


@contextmanager
def associate(
    call: AssociationRequest,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[EventHandlerType] = (),
    tls: ssl.SSLContext | None = None,
) -> Iterator[Association]:
    """Request an association for the block; whether there is one, and why not, is for the caller to look at.

    Raises
    ------
    OSError
        If the host's name is not known. All else pynetdicom reports in the association.
    """
    # Its log reports every message and quotes what it cannot decode.
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
    """Keep the thread of an association that only asks away from the messages that arrive: all are answers.

    pynetdicom pauses that thread while somebody waits for an answer, but takes it for paused already when it has just
    been told to go on. It then takes the answer and drops it, and who asked waits for the whole time-out. Requests of
    the peer's for N-EVENT-REPORT go past it.
    """
    take = association.dimse.get_msg

    def get_msg(block: bool = False) -> Any:
        return take(block) if block else (None, None)

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
            # Or the end of each message waits for the peer's acknowledgement of the one before.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _shutdown_socket(self) -> None:
        # pynetdicom forgets to close a socket that cannot be shut down, as after a refused connection.
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
