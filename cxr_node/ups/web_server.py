"""Worklist manager as DICOMweb server, by UPS-RS: its settings."""

from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field

from cxr_node.deliver.destination import Probe, WebServer
from cxr_node.domain.procedure_step import Worklist
from cxr_node.net.http_settings import HttpServerSection
from cxr_node.ups.worklist import WorklistContext, WorklistKind, code_of

if TYPE_CHECKING:
    from cxr_node.ups.web import WebWorklist

_MAXIMUM_RESPONSE_BYTES = 1 << 24


class DicomWebWorklist(HttpServerSection, WorklistKind):
    """A DICOMweb server whose scheduled workitems are claimed, by UPS-RS."""

    kind: Literal["dicomweb"] = Field("dicomweb", description="Kind of worklist.")
    requests: Literal["standard", "standard-2019", "dcm4chee", "microsoft"] = Field(
        "standard",
        description='Form of requests: "standard" (PS3.18 section 11, edition 2025e), "standard-2019" (before it), '
        'or as "dcm4chee" or "microsoft" read them: they differ in the body, in the query with the Transaction UID, '
        "or in the path of a state.",
    )

    @classmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""
        return cls(
            name="web ris", url="http://127.0.0.1:8042/dicom-web", workitem="110003^DCM^Computer Aided Diagnosis"
        )

    @property
    def audit_target(self) -> WebServer:
        """URL and host."""
        return WebServer(uri=self.url, host=urlsplit(self.url).hostname or "")

    def open(self, context: WorklistContext) -> Worklist:
        """Return the worklist."""
        return self._worklist(context)

    def probe(self, context: WorklistContext) -> Probe:
        """Test by a search for a step that does not exist."""
        return self._worklist(context).probe()

    def _worklist(self, context: WorklistContext) -> "WebWorklist":
        # pydicom takes long to import, and every command loads the settings.
        from cxr_node.ups.web import FORMS, WebWorklist

        return WebWorklist(
            name=self.name,
            server=self.server(maximum_response_bytes=_MAXIMUM_RESPONSE_BYTES),
            form=FORMS[self.requests](context.calling_ae_title),
            workitem=code_of(self.workitem),
            station=code_of(self.station),
            label=self.label,
            on_query=context.on_query,
            on_change=context.on_change,
        )
