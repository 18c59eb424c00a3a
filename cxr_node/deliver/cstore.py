"""Results to a PACS by C-STORE (PS3.4 annex B)."""

import logging
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, build_context
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import from a table
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from cxr_node.deliver.destination import Receipt, Refused
from cxr_node.deliver.outcome import Outcome, of_context, of_rejection, of_status
from cxr_node.deliver.outgoing import Outgoing, converted, read_outgoing
from cxr_node.deliver.tls import TlsPeer
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.domain.tls import spoken

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CStoreDestination:
    """A PACS. Each object goes on an association of its own; a warning counts as success only if so configured.

    With `tls` the peer must be who it should be. What stands in the way there is passing: a person
    renews a certificate, and the next attempt goes through.
    """

    name: str
    host: str
    port: int
    called_ae_title: AeTitle
    calling_ae_title: AeTitle
    connection_timeout_s: float = 10.0
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    network_timeout_s: float = 60.0
    warning_is_success: bool = False
    tls: TlsPeer | None = None

    def send(self, content: bytes) -> Receipt:
        """Send the data set of the DICOM file `content`; see `Destination.send`.

        In its own transfer syntax, byte for byte. Only where the peer accepts no other than a different
        uncompressed one are the same values written in that, and the receipt says so.
        """
        outgoing = read_outgoing(content)
        # A context of its own for the file's transfer syntax: in a shared one the peer would choose.
        contexts = [build_context(outgoing.sop_class_uid, outgoing.transfer_syntax_uid)]
        if outgoing.alternatives:
            contexts.append(build_context(outgoing.sop_class_uid, list(outgoing.alternatives)))
        with self._association(contexts) as association:
            accepted = [Uid(str(context.transfer_syntax[0])) for context in association.accepted_contexts]
            to_send = _in_accepted_syntax(outgoing, accepted)
            answer = _c_store(association, to_send)
        return self._receipt(answer.get("Status"), str(answer.get("ErrorComment", "")), outgoing, to_send)

    def echo(self) -> None:
        """Ask by C-ECHO whether the peer is there and admits us; raises as `send` does."""
        with self._association([build_context(Verification)]) as association:
            status = association.send_c_echo().get("Status")
        if status != 0:
            raise RetryLater(f"{self._peer} answered C-ECHO with {_spoken(status)}")

    @property
    def _peer(self) -> str:
        return f"{self.called_ae_title} at {self.host} port {self.port}"

    @contextmanager
    def _association(self, contexts: list[PresentationContext]) -> Iterator[Association]:
        tls_failures: list[str] = []
        association = self._requested(contexts, tls_failures)
        try:
            if tls_failures:
                raise RetryLater(f"no TLS with {self._peer}: {tls_failures[0]}")
            if not association.is_established:
                self._raise_why_not(association)
            yield association
        finally:
            _end(association)

    def _requested(self, contexts: list[PresentationContext], tls_failures: list[str]) -> Association:
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
                contexts=contexts,
                ae_title=self.called_ae_title,
                tls_args=tls_args,
            )
        except OSError as error:  # the host's name is not known: pynetdicom reports all else in the association
            raise RetryLater(f"no connection to {self._peer}: {error.strerror}") from error

    def _tls_context(self, tls: TlsPeer, failures: list[str]) -> ssl.SSLContext:
        try:
            return tls.context(failures)
        except OSError as error:
            raise RetryLater(f"files for TLS with {self._peer} cannot be used: {spoken(error)}") from error

    def _raise_why_not(self, association: Association) -> NoReturn:
        answer = association.acceptor.primitive
        if association.is_rejected and answer is not None:
            result, source, reason = answer.result or 0, answer.result_source or 0, answer.diagnostic or 0
            sentence = f"{self._peer} rejected the association: {answer.result_str}, {answer.reason_str}"
            _raise(of_rejection(result=result, source=source, reason=reason), sentence)
        if association.rejected_contexts:
            # The first is the one for the object as it is.
            answered = association.rejected_contexts[0].result
            _raise(of_context(answered), f"{self._peer} does not take this kind of object (result {answered})")
        raise RetryLater(f"no association with {self._peer}")

    def _receipt(self, status: int | None, comment: str, outgoing: Outgoing, sent: Outgoing) -> Receipt:
        if status is None:
            raise RetryLater(f"{self._peer} gave no answer to C-STORE")
        outcome = of_status(status, warning_is_success=self.warning_is_success)
        if outcome is not Outcome.DELIVERED:
            _raise(outcome, f"{self._peer} answered C-STORE with {_spoken(status)} {comment}".rstrip(), status=status)
        if sent.transfer_syntax_uid != outgoing.transfer_syntax_uid:
            comment = f"sent as {sent.transfer_syntax_uid} {comment}".rstrip()
        _log.info("%s took %s with status 0x%04X", self.name, outgoing.sop_instance_uid, status)
        return Receipt(status=status, comment=comment)


def _in_accepted_syntax(outgoing: Outgoing, accepted: list[Uid]) -> Outgoing:
    if outgoing.transfer_syntax_uid in accepted:
        return outgoing
    return converted(outgoing, transfer_syntax_uid=accepted[0])


def _c_store(association: Association, outgoing: Outgoing) -> Dataset:
    """Send the data set as it stands in the file; an empty answer if none came."""
    # Read by pynetdicom at each call: with it a file's bytes are sent as they are, from a path only.
    _config.STORE_SEND_CHUNKED_DATASET = True
    file = os.memfd_create("outgoing")
    try:
        with os.fdopen(file, "wb", closefd=False) as memory:
            memory.write(outgoing.content)
        return association.send_c_store(f"/proc/self/fd/{file}")
    except RuntimeError:  # the association ended between its opening and this call
        return Dataset()
    finally:
        os.close(file)


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


def _raise(outcome: Outcome, sentence: str, *, status: int | None = None) -> NoReturn:
    if outcome is Outcome.REFUSED:
        raise Refused(sentence, status=status)
    raise RetryLater(sentence)


def _spoken(status: int | None) -> str:
    return "no status" if status is None else f"status 0x{status:04X}"
