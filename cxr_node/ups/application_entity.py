"""Worklist manager as Application Entity, by the SOP Class UPS Pull: its settings."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from cxr_node.deliver.destination import ApplicationEntity, Probe
from cxr_node.deliver.peer import ApplicationEntitySection
from cxr_node.domain.identifiers import Uid, parse_ae_title
from cxr_node.domain.procedure_step import Worklist
from cxr_node.domain.section import Title
from cxr_node.domain.sop_classes import UPS_PULL
from cxr_node.ups.worklist import WorklistContext, WorklistKind, code_of

if TYPE_CHECKING:
    from cxr_node.ups.manager import WorklistManager


class DicomWorklist(ApplicationEntitySection, WorklistKind):
    """A worklist manager whose scheduled steps are claimed, by the SOP Class UPS Pull."""

    scu_sop_classes: ClassVar[tuple[Uid, ...]] = (UPS_PULL,)

    kind: Literal["dicom"] = Field("dicom", description="Kind of worklist.")
    calling_ae_title: Title | Literal[""] = Field(
        "", description="Calling AE title of this node; empty: ae_title of [receive]."
    )

    @classmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""
        return cls(
            name="ris",
            host="127.0.0.1",
            port=11112,
            ae_title="WORKLIST",
            workitem="110003^DCM^Computer Aided Diagnosis",
        )

    @property
    def audit_target(self) -> ApplicationEntity:
        """AE title and host."""
        return ApplicationEntity(ae_title=self.ae_title, host=self.host)

    def open(self, context: WorklistContext) -> Worklist:
        """Return the worklist."""
        return self._manager(context)

    def probe(self, context: WorklistContext) -> Probe:
        """Test by negotiation of UPS Pull, without a query."""
        return self._manager(context).probe()

    def _manager(self, context: WorklistContext) -> "WorklistManager":
        # pynetdicom takes long to import, and every command loads the settings.
        from cxr_node.ups.manager import WorklistManager

        own = parse_ae_title(self.calling_ae_title) if self.calling_ae_title else context.calling_ae_title
        return WorklistManager(
            name=self.name,
            peer=self.peer(calling_ae_title=own),
            workitem=code_of(self.workitem),
            station=code_of(self.station),
            label=self.label,
            on_query=context.on_query,
            on_change=context.on_change,
        )
