"""The Application Entity that a modality sends to, and the associations it opens with it."""

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to call, how we call ourselves, and how long each wait may take."""

    host: str
    port: int
    called_ae_title: AeTitle
    calling_ae_title: AeTitle
    timeout_s: float

    @contextmanager
    def association(self, contexts: list[PresentationContext]) -> Iterator[Association]:
        """Open an association for the block; raise ConnectionError, which says why, if there is none to be had."""
        # pynetdicom's log reports every message and quotes what it cannot decode.
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        entity = _Requestor(ae_title=self.calling_ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.connection_timeout = self.timeout_s
        entity.acse_timeout = self.timeout_s
        entity.dimse_timeout = self.timeout_s
        entity.network_timeout = self.timeout_s
        try:
            association = entity.associate(
                self.host,
                self.port,
                contexts=contexts,
                ae_title=self.called_ae_title,
            )
        except OSError as error:  # the host's name is not known
            raise ConnectionError(f"no connection to {self}: {error.strerror}") from error
        try:
            if not association.is_established:
                raise ConnectionError(self._why_not(association))
            yield association
        finally:
            _end(association)

    def _why_not(self, association: Association) -> str:
        answer = association.acceptor.primitive
        if association.is_rejected and answer is not None:
            return f"{self} rejected the association: {answer.reason_str}"
        if association.rejected_contexts:
            return f"{self} takes none of these kinds of film"
        return f"no association with {self}"

    def __str__(self) -> str:
        return f"{self.called_ae_title} at {self.host} port {self.port}"


def _end(association: Association) -> None:
    if association.is_established:
        association.release()
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        connection.close()


class _Requestor(AE):
    """An Application Entity whose connections send at once and always close."""

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
