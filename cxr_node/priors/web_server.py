"""DICOMweb server as a source of prior films: its settings."""

from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field

from cxr_node.deliver.destination import Probe, WebServer
from cxr_node.net.http_settings import HttpServerSection
from cxr_node.priors.source import PriorSourceKind, SourceContext

if TYPE_CHECKING:
    from cxr_node.domain.prior_search import PriorSource
    from cxr_node.priors.web import WebSource


class DicomWebSource(HttpServerSection, PriorSourceKind):
    """A DICOMweb server that is searched for prior films by QIDO-RS, and sends them by WADO-RS."""

    kind: Literal["dicomweb"] = Field("dicomweb", description="Kind of source.")

    @classmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""
        return cls(name="web archive", url="http://127.0.0.1:8042/dicom-web")

    @property
    def audit_target(self) -> WebServer:
        """URL and host."""
        return WebServer(uri=self.url, host=urlsplit(self.url).hostname or "")

    def open(self, context: SourceContext) -> "PriorSource":
        """Return the source."""
        return self._source(context)

    def probe(self, context: SourceContext) -> Probe:
        """Test by a QIDO-RS query for a study that does not exist."""
        return self._source(context).probe()

    def _source(self, context: SourceContext) -> "WebSource":
        # pydicom takes long to import, and every command loads the settings.
        from cxr_node.priors.web import WebSource, web_sender

        return WebSource(
            name=self.name,
            server=self.server(maximum_response_bytes=context.maximum_object_bytes),
            sender=web_sender(urlsplit(self.url).hostname or "", context.calling_ae_title),
            on_query=context.on_query,
            on_fetched=context.on_fetched,
        )
