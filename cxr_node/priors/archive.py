"""DICOM archive as a source of prior films: its settings."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from cxr_node.deliver.destination import ApplicationEntity, Probe
from cxr_node.deliver.peer import ApplicationEntitySection
from cxr_node.domain.identifiers import Uid, parse_ae_title
from cxr_node.domain.section import Title
from cxr_node.domain.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from cxr_node.priors.source import PriorSourceKind, SourceContext

if TYPE_CHECKING:
    from cxr_node.domain.prior_search import PriorSource
    from cxr_node.priors.dicom import DicomSource


class DicomArchive(ApplicationEntitySection, PriorSourceKind):
    """An archive that is asked for prior films by C-FIND, and sends them by C-GET or C-MOVE."""

    kind: Literal["dicom"] = Field("dicom", description="Kind of source.")
    calling_ae_title: Title | Literal[""] = Field(
        "", description="Calling AE title of this node; empty: ae_title of [receive]."
    )

    retrieve: tuple[Literal["get", "move"], ...] = Field(
        ("get", "move"),
        min_length=1,
        description='How films are retrieved, tried in this order: "get", or "move" to [receive], whose AE title and '
        "address the archive must know.",
    )

    scu_sop_classes: ClassVar[tuple[Uid, ...]] = (STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE)

    @classmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""
        return cls(name="archive", host="127.0.0.1", port=4242, ae_title="ARCHIVE")

    @property
    def audit_target(self) -> ApplicationEntity:
        """AE title and host."""
        return ApplicationEntity(ae_title=self.ae_title, host=self.host)

    def open(self, context: SourceContext) -> "PriorSource":
        """Return the source."""
        return self._source(context)

    def probe(self, context: SourceContext) -> Probe:
        """Test by negotiation: whether C-FIND is accepted, and C-GET with the SCP role for films."""
        return self._source(context).probe()

    def _source(self, context: SourceContext) -> "DicomSource":
        # pynetdicom takes long to import, and every command loads the settings.
        from cxr_node.priors.dicom import DicomSource

        own = parse_ae_title(self.calling_ae_title) if self.calling_ae_title else context.calling_ae_title
        return DicomSource(
            name=self.name,
            peer=self.peer(calling_ae_title=own),
            retrieve=self.retrieve,
            move_destination=context.calling_ae_title,
            maximum_object_bytes=context.maximum_object_bytes,
            sop_classes=context.sop_classes,
            arrivals=context.arrivals,
            on_query=context.on_query,
            on_fetched=context.on_fetched,
        )
