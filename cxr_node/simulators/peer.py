"""Application Entity that the simulated modality sends to, and associations with it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from cxr_node.domain.errors import cause_of
from cxr_node.domain.identifiers import AeTitle
from cxr_node.net.association_request import AssociationRequest
from cxr_node.net.reachability import why_unreachable
from cxr_node.net.scu import associate

_PROBE_S = 5.0
"""Time to learn why there is no association."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Address, AE titles and the time-out of each wait."""

    host: str
    port: int
    called_ae_title: AeTitle
    calling_ae_title: AeTitle
    timeout_s: float

    @contextmanager
    def association(self, contexts: list[PresentationContext]) -> Iterator[Association]:
        """Open an association for the block; raise ConnectionError with the reason if that fails."""
        with ExitStack() as stack:
            try:
                association = stack.enter_context(associate(self._call, contexts))
            except OSError as error:  # unknown host name
                raise ConnectionError(f"no connection to {self}: {cause_of(error).lower()}") from error
            if not association.is_established:
                raise ConnectionError(self._failure(association))
            yield association

    @property
    def _call(self) -> AssociationRequest:
        return AssociationRequest(
            host=self.host,
            port=self.port,
            called_ae_title=self.called_ae_title,
            calling_ae_title=self.calling_ae_title,
            connection_timeout_s=self.timeout_s,
            acse_timeout_s=self.timeout_s,
            dimse_timeout_s=self.timeout_s,
            network_timeout_s=self.timeout_s,
        )

    def _failure(self, association: Association) -> str:
        response = association.acceptor.primitive
        if association.is_rejected and response is not None:
            return f"{self} rejected the association: {response.reason_str}"
        if association.rejected_contexts:
            return f"{self} accepts none of the presentation contexts"
        cause = why_unreachable(self.host, self.port, timeout_s=min(self.timeout_s, _PROBE_S))
        return f"no association with {self}: {cause}"

    def __str__(self) -> str:
        return f"{self.called_ae_title} at {self.host} port {self.port}"
