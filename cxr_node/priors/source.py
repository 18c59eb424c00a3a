"""Seam of sources: a kind of source is a subclass of `PriorSourceKind` in a file of its own, and a line in SOURCES."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from pydantic import Field

from cxr_node.deliver.destination import ApplicationEntity, Probe, WebServer
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.section import Section
from cxr_node.domain.sop_classes import PRIOR_SOP_CLASSES

if TYPE_CHECKING:
    from cxr_node.domain.instance import Instance, Sender
    from cxr_node.domain.prior_search import PriorSource

OnQuery = Callable[[bytes, str], None]
"""Called with the encoded Identifier of each query (Explicit VR Little Endian) and why it failed, "" if it has not."""


OnFetched = Callable[["Instance"], None]
"""Called with each film that the node has retrieved."""


class Arrivals(Protocol):
    """Films that archives send to the receive role, as C-MOVE has asked them to."""

    def expect(self, sop_instance_uid: Uid, calling_ae_title: AeTitle) -> None:
        """Let a film that comes from an AE title be no received film."""

    def take(self, sop_instance_uid: Uid, sender: "Sender", *, until: float) -> "Instance | None":
        """Return a film that has come, at the latest at a time of `time.monotonic`; None if it has not."""
        ...


class _NoArrivals:
    """Nothing comes: for a source that is not asked by C-MOVE."""

    def expect(self, sop_instance_uid: Uid, calling_ae_title: AeTitle) -> None:
        """Expect nothing."""

    def take(self, sop_instance_uid: Uid, sender: "Sender", *, until: float) -> "Instance | None":  # noqa: ARG002
        """Return None."""
        return None


NO_ARRIVALS: Arrivals = _NoArrivals()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """What the node adds to the settings of a source: its own AE title, limits, audit, and what comes by C-MOVE.

    Films of `sop_classes` are retrieved by C-GET.
    """

    calling_ae_title: AeTitle
    maximum_object_bytes: int
    sop_classes: tuple[Uid, ...] = PRIOR_SOP_CLASSES
    on_query: OnQuery = lambda _identifier, _failure: None
    on_fetched: OnFetched = lambda _instance: None
    arrivals: Arrivals = NO_ARRIVALS


class PriorSourceKind(Section):
    """A table of `[[priors.sources]]`. Its docstring heads the table in the example configuration."""

    scu_sop_classes: ClassVar[tuple[Uid, ...]] = ()
    """SOP Classes that the node uses as SCU, for the conformance statement."""

    kind: str = Field(description="Kind of source.")
    name: str = Field(min_length=1, max_length=64, description="Name of the source in this node.")

    @classmethod
    @abstractmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""

    @property
    @abstractmethod
    def audit_target(self) -> ApplicationEntity | WebServer:
        """The source in the audit trail."""

    @abstractmethod
    def open(self, context: SourceContext) -> "PriorSource":
        """Return the source."""

    @abstractmethod
    def probe(self, context: SourceContext) -> Probe:
        """Test whether the source answers queries and retrievals, without asking for a patient."""
