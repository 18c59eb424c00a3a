"""Settings of DICOMweb as an origin server: listener, who may store, limits."""

from typing import Annotated

from pydantic import Field

from cxr_node.domain.section import Port, Seconds, Title, text_form
from cxr_node.net.tls_settings import TlsListener

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class DicomWebSection(TlsListener):
    """DICOMweb server of the receive role, at /dicomweb: STOW-RS, QIDO-RS, WADO-RS. Requests carry an API token."""

    enabled: bool = Field(False, description="Serve DICOMweb.")
    host: str = Field("127.0.0.1", description='Address to listen on; "0.0.0.0" for every interface.')
    port: Port = Field(8043, description="TCP port to listen on; 0: any free port.")
    senders: tuple[Title, ...] = Field(
        (),
        description="Names of the API tokens that may store, by STOW-RS. The name is the calling AE title of the "
        "films, which the rules of [receive] are matched with; other tokens may not store.",
    )
    origins: tuple[Annotated[str, text_form(r"https?://[^\s/?#]{1,253}", "https://HOST")], ...] = Field(
        (),
        description="Origins of web viewers, such as https://ohif.example.org, whose pages may use the server (CORS).",
    )
    base_url: Annotated[
        str,
        text_form(r"(https?://[^\s?#@]{1,400}[^\s?#@/])?", "http://HOST/dicomweb or https://HOST/dicomweb"),
    ] = Field(
        "", description="URL under which clients reach /dicomweb, for Retrieve URL (0008,1190); empty: as requested."
    )
    maximum_connections: int = Field(
        32, ge=1, le=1024, description="Maximum connections at a time; more are refused (status 503)."
    )
    maximum_request_bytes: int = Field(
        2**32, ge=1, description="Maximum size of a request, in bytes; larger ones are rejected (status 413)."
    )
    maximum_parts: int = Field(
        1000, ge=1, description="Maximum objects in a request; what follows is not read (status 413)."
    )
    idle_timeout_s: Seconds = Field(30.0, description="Timeout of a connection on which nothing comes, in seconds.")
    request_timeout_s: Seconds = Field(900.0, description="Timeout of a request and its response, in seconds.")
