"""Peer that the node requests associations with: settings, TLS, time-outs, and the error of each failure."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from pydantic import Field

from cxr_node.deliver.destination import DeliveryRejected, DestinationUnreachable
from cxr_node.deliver.outcome import DeliveryOutcome, of_context, of_rejection
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle, Uid, parse_ae_title
from cxr_node.domain.section import PeerPort, Seconds, Title
from cxr_node.net.association_request import AssociationRequest
from cxr_node.net.reachability import why_unreachable
from cxr_node.net.tls import failure_reason
from cxr_node.net.tls_peer import TlsPeer
from cxr_node.net.tls_settings import TlsClient

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import EventHandlerType
    from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
    from pynetdicom.presentation import PresentationContext


_PROBE_S = 5.0
"""Time to learn why there is no association."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(AssociationRequest):
    """An Application Entity, by TLS if `tls` is set.

    TLS failures are transient errors: after an operator has renewed a certificate the next attempt succeeds.
    """

    tls: TlsPeer | None = None

    def __str__(self) -> str:
        """Return its name in messages."""
        return f"{self.called_ae_title} at {self.host} port {self.port}"

    @contextmanager
    def association(
        self,
        contexts: "Sequence[PresentationContext]",
        *,
        roles: "Sequence[SCP_SCU_RoleSelectionNegotiation]" = (),
        handlers: "Sequence[EventHandlerType]" = (),
    ) -> "Iterator[Association]":
        """Establish an association for the block, with at least one of `contexts` accepted.

        Raises
        ------
        DestinationUnreachable, RetryLater, DeliveryRejected
            If there is none, by cause.
        """
        tls_failures: list[str] = []
        tls = self._tls_context(self.tls, tls_failures) if self.tls is not None else None
        with self._requested(contexts, roles, handlers, tls) as association:
            if tls_failures:
                raise DestinationUnreachable(f"no TLS with {self}: {tls_failures[0]}")
            if not association.is_established:
                self._raise_failure(association)
            self._drop_unproposed(association)
            yield association

    def accepted(self, association: "Association", sop_class_uid: Uid) -> list[Uid]:
        """Return the transfer syntaxes that it accepted for a SOP Class, the first proposed first.

        Raises
        ------
        RetryLater, DeliveryRejected
            If there is none, by the result of the context.
        """
        accepted = [
            Uid(str(context.transfer_syntax[0]))
            for context in association.accepted_contexts
            if str(context.abstract_syntax) == sop_class_uid
        ]
        if not accepted:
            rejected = [one for one in association.rejected_contexts if str(one.abstract_syntax) == sop_class_uid]
            if not rejected:
                raise DeliveryRejected(f"{self} accepted this SOP Class in a transfer syntax that was not proposed")
            self._raise_not_accepted(rejected[0].result)
        return accepted

    @contextmanager
    def _requested(
        self,
        contexts: "Sequence[PresentationContext]",
        roles: "Sequence[SCP_SCU_RoleSelectionNegotiation]",
        handlers: "Sequence[EventHandlerType]",
        tls: ssl.SSLContext | None,
    ) -> "Iterator[Association]":
        from cxr_node.net.scu import associate

        with ExitStack() as stack:
            try:
                request = associate(self, contexts, roles=roles, handlers=handlers, tls=tls)
                association = stack.enter_context(request)
            except OSError as error:  # not raised by the block
                raise DestinationUnreachable(f"no connection to {self}: {error.strerror}") from error
            yield association

    def _drop_unproposed(self, association: "Association") -> None:
        """Drop accepted contexts whose transfer syntax was not proposed, which PS3.8 table 9-18 forbids.

        Raises
        ------
        DeliveryRejected
            If no other is left: in that transfer syntax the peer would misread the object, and answer Success.
        """
        proposed = {context.context_id: context.transfer_syntax for context in association.requestor.requested_contexts}
        accepted = list(association.accepted_contexts)
        unproposed = [context for context in accepted if context.transfer_syntax[0] not in proposed[context.context_id]]
        for context in unproposed:
            association._accepted_cx.pop(context.context_id or 0)  # noqa: SLF001  # pynetdicom would send on it
        if len(unproposed) == len(accepted):
            name = unproposed[0].transfer_syntax[0]
            raise DeliveryRejected(f"{self} accepted transfer syntax {name!s}, which was not proposed: nothing sent")

    def _tls_context(self, tls: TlsPeer, failures: list[str]) -> ssl.SSLContext:
        try:
            return tls.context(failures)
        except OSError as error:
            raise DestinationUnreachable(f"TLS files for {self} cannot be used: {failure_reason(error)}") from error

    def _raise_failure(self, association: "Association") -> NoReturn:
        response = association.acceptor.primitive
        if association.is_rejected and response is not None:
            result, source, reason = response.result or 0, response.result_source or 0, response.diagnostic or 0
            message = f"{self} rejected the association: {response.result_str}, {response.reason_str}"
            outcome = of_rejection(result=result, source=source, reason=reason)
            raise DeliveryRejected(message) if outcome is DeliveryOutcome.REJECTED else DestinationUnreachable(message)
        if association.rejected_contexts:
            # The first context is the one with the object's own transfer syntax.
            self._raise_not_accepted(association.rejected_contexts[0].result)
        cause = why_unreachable(self.host, self.port, timeout_s=min(self.connection_timeout_s, _PROBE_S))
        raise DestinationUnreachable(f"no association with {self}: {cause}")

    def _raise_not_accepted(self, context_result: int | None) -> NoReturn:
        message = f"{self} does not accept this SOP Class (result {context_result})"
        raise_for_outcome(of_context(context_result), message)


class ApplicationEntitySection(TlsClient):
    """An Application Entity that the node requests associations with."""

    ae_title: Title = Field(description="Its AE title.")
    host: str = Field(description="Its address.")
    port: PeerPort = Field(description="Its TCP port.")
    timeout_s: Seconds = Field(30.0, description="Time-out of each of its responses, in seconds.")

    def peer(self, *, calling_ae_title: AeTitle) -> Peer:
        """Return the peer of these settings."""
        return Peer(
            host=self.host,
            port=self.port,
            called_ae_title=parse_ae_title(self.ae_title),
            calling_ae_title=calling_ae_title,
            connection_timeout_s=self.timeout_s,
            acse_timeout_s=self.timeout_s,
            dimse_timeout_s=self.timeout_s,
            network_timeout_s=self.timeout_s,
            tls=self.tls_peer,
        )


def raise_without_response(association: "Association", peer: Peer, request: str) -> NoReturn:
    """Raise the error of a request that `peer` has not responded to.

    Raises
    ------
    DestinationUnreachable
        If the time-out expired: the peer may accept associations, and serve none.
    RetryLater
        If the association ended, or the response is to another request.
    """
    from cxr_node.net.scu import has_timed_out, other_response

    message = f"{peer} did not answer {request}"
    if has_timed_out(association):
        raise DestinationUnreachable(f"{message} within {peer.dimse_timeout_s:g} s")
    raise RetryLater(f"{message}{other_response(association)}")


def raise_for_outcome(outcome: DeliveryOutcome, message: str, *, status: int | None = None) -> NoReturn:
    """Raise the error of an outcome other than DELIVERED."""
    if outcome is DeliveryOutcome.REJECTED:
        raise DeliveryRejected(message, status=status)
    raise RetryLater(message)


def status_text(status: int | None) -> str:
    """Return a DIMSE status as text."""
    return "no status" if status is None else f"status 0x{status:04X}"
