"""A peer that we open associations with: by TLS or not, with deadlines, and with what its refusals mean."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NoReturn

from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from cxr_node.deliver.destination import DeliveryRejected, DestinationUnreachable
from cxr_node.deliver.outcome import Outcome, of_context, of_rejection
from cxr_node.domain.errors import RetryLater
from cxr_node.net.scu import AssociationRequest, associate
from cxr_node.net.tls import failure_reason
from cxr_node.net.tls_peer import TlsPeer


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(AssociationRequest):
    """An Application Entity to call.

    With `tls` the peer must be who it should be. What stands in the way there is passing: a person
    renews a certificate, and the next attempt goes through.
    """

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
        tls = self._tls_context(self.tls, tls_failures) if self.tls is not None else None
        with self._called(contexts, roles, handlers, tls) as association:
            if tls_failures:
                raise DestinationUnreachable(f"no TLS with {self}: {tls_failures[0]}")
            if not association.is_established:
                self._raise_why_not(association)
            yield association

    @contextmanager
    def _called(
        self,
        contexts: Sequence[PresentationContext],
        roles: Sequence[SCP_SCU_RoleSelectionNegotiation],
        handlers: Sequence[EventHandlerType],
        tls: ssl.SSLContext | None,
    ) -> Iterator[Association]:
        with ExitStack() as stack:
            try:
                request = associate(self, contexts, roles=roles, handlers=handlers, tls=tls)
                association = stack.enter_context(request)
            except OSError as error:  # not what the block raises
                raise DestinationUnreachable(f"no connection to {self}: {error.strerror}") from error
            yield association

    def _tls_context(self, tls: TlsPeer, failures: list[str]) -> ssl.SSLContext:
        try:
            return tls.context(failures)
        except OSError as error:
            raise DestinationUnreachable(f"TLS files for {self} cannot be used: {failure_reason(error)}") from error

    def _raise_why_not(self, association: Association) -> NoReturn:
        answer = association.acceptor.primitive
        if association.is_rejected and answer is not None:
            result, source, reason = answer.result or 0, answer.result_source or 0, answer.diagnostic or 0
            sentence = f"{self} rejected the association: {answer.result_str}, {answer.reason_str}"
            outcome = of_rejection(result=result, source=source, reason=reason)
            raise DeliveryRejected(sentence) if outcome is Outcome.REFUSED else DestinationUnreachable(sentence)
        if association.rejected_contexts:
            # The first is the one for the object as it is.
            answered = association.rejected_contexts[0].result
            raise_for_outcome(of_context(answered), f"{self} does not take this kind of object (result {answered})")
        raise DestinationUnreachable(f"no association with {self}")


def raise_for_outcome(outcome: Outcome, sentence: str, *, status: int | None = None) -> NoReturn:
    """Raise what `outcome`, which is not that it arrived, means."""
    if outcome is Outcome.REFUSED:
        raise DeliveryRejected(sentence, status=status)
    raise RetryLater(sentence)


def spoken_status(status: int | None) -> str:
    """Return a DIMSE status in words."""
    return "no status" if status is None else f"status 0x{status:04X}"
