"""A peer that we open associations with: by TLS or not, with deadlines, and with what its refusals mean."""

import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from cxr_node.deliver.destination import Away, Refused
from cxr_node.deliver.outcome import Outcome, of_context, of_rejection
from cxr_node.deliver.tls import TlsPeer
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.domain.tls import spoken


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """An Application Entity to call.

    With `tls` the peer must be who it should be. What stands in the way there is passing: a person
    renews a certificate, and the next attempt goes through.
    """

    host: str
    port: int
    called_ae_title: AeTitle
    calling_ae_title: AeTitle
    connection_timeout_s: float = 10.0
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    network_timeout_s: float = 60.0
    tls: TlsPeer | None = None

    def __str__(self) -> str:
        """Return how it is named in sentences."""
        return f"{self.called_ae_title} at {self.host} port {self.port}"

    @contextmanager
    def association(
        self,
        contexts: Sequence[PresentationContext],
        *,
        roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
        handlers: Sequence[EventHandlerType] = (),
    ) -> Iterator[Association]:
        """Open an association for the block, with at least one of `contexts` accepted.

        Raises
        ------
        Away, RetryLater, Refused
            If there is none, sorted by why.
        """
        tls_failures: list[str] = []
        association = self._requested(contexts, roles, handlers, tls_failures)
        try:
            if tls_failures:
                raise Away(f"no TLS with {self}: {tls_failures[0]}")
            if not association.is_established:
                self._raise_why_not(association)
            yield association
        finally:
            _end(association)

    def _requested(
        self,
        contexts: Sequence[PresentationContext],
        roles: Sequence[SCP_SCU_RoleSelectionNegotiation],
        handlers: Sequence[EventHandlerType],
        tls_failures: list[str],
    ) -> Association:
        entity = _Requestor(ae_title=self.calling_ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.connection_timeout = self.connection_timeout_s
        entity.acse_timeout = self.acse_timeout_s
        entity.dimse_timeout = self.dimse_timeout_s
        entity.network_timeout = self.network_timeout_s
        # It reports every message and quotes what it cannot decode.
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        tls_args = (self._tls_context(self.tls, tls_failures), self.host) if self.tls is not None else None
        try:
            return entity.associate(
                self.host,
                self.port,
                contexts=list(contexts),
                ae_title=self.called_ae_title,
                tls_args=tls_args,
                ext_neg=list(roles),
                evt_handlers=list(handlers),
            )
        except OSError as error:  # the host's name is not known: pynetdicom reports all else in the association
            raise Away(f"no connection to {self}: {error.strerror}") from error

    def _tls_context(self, tls: TlsPeer, failures: list[str]) -> ssl.SSLContext:
        try:
            return tls.context(failures)
        except OSError as error:
            raise Away(f"files for TLS with {self} cannot be used: {spoken(error)}") from error

    def _raise_why_not(self, association: Association) -> NoReturn:
        answer = association.acceptor.primitive
        if association.is_rejected and answer is not None:
            result, source, reason = answer.result or 0, answer.result_source or 0, answer.diagnostic or 0
            sentence = f"{self} rejected the association: {answer.result_str}, {answer.reason_str}"
            outcome = of_rejection(result=result, source=source, reason=reason)
            raise Refused(sentence) if outcome is Outcome.REFUSED else Away(sentence)
        if association.rejected_contexts:
            # The first is the one for the object as it is.
            answered = association.rejected_contexts[0].result
            raise_sorted(of_context(answered), f"{self} does not take this kind of object (result {answered})")
        raise Away(f"no association with {self}")


def raise_sorted(outcome: Outcome, sentence: str, *, status: int | None = None) -> NoReturn:
    """Raise what `outcome`, which is not that it arrived, means."""
    if outcome is Outcome.REFUSED:
        raise Refused(sentence, status=status)
    raise RetryLater(sentence)


def spoken_status(status: int | None) -> str:
    """Return a DIMSE status in words."""
    return "no status" if status is None else f"status 0x{status:04X}"


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


def _end(association: Association) -> None:
    if association.is_established:
        association.release()
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        connection.close()
