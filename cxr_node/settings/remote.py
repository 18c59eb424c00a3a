"""Settings of the inference server that reads in place of this host."""

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from cxr_node.domain.section import NameOrPath, OptionalPath, Seconds, text_form
from cxr_node.net.tls_settings import TlsClient

_NAME_CHARACTERS = "letters, digits, or any of . _ -"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class RemoteSection(TlsClient):
    """Inference server of read.kind = "remote": KServe v2 (Open Inference Protocol, Triton) over HTTP."""

    url: Annotated[
        str,
        text_form(
            r"(https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?)?", "http(s)://HOST:PORT/PATH without user and query"
        ),
    ] = Field(
        "",
        description='Address of the server, such as "https://triton.example.org:8443"; https needs tls_ca.',
    )
    model: Annotated[str, text_form(r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})?", f"at most 100 {_NAME_CHARACTERS}")] = Field(
        "",
        description="Model at the server that runs the network of read.bundle; empty: that of the bundle's card.",
    )
    model_version: Annotated[
        str, text_form(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})?", f"at most 64 {_NAME_CHARACTERS}")
    ] = Field(
        "",
        description="Version of the model: a response of another is not used; empty: that of the bundle's card.",
    )
    encoding: Literal["binary", "json"] = Field(
        "binary", description='Tensors by the binary data extension, or as "json", which every server takes.'
    )
    token_file: OptionalPath = Field(
        None, description="File with a bearer token, one line, read at each request; empty: none. Needs tls_ca."
    )
    connect_timeout_s: Seconds = Field(5.0, description="Timeout of a connection, in seconds.")
    timeout_s: Seconds = Field(20.0, description="Timeout of a request with its whole response, in seconds.")
    maximum_response_bytes: int = Field(1 << 26, ge=1024, description="Maximum size of a response.")
    fallback: Literal["hold", "local"] = Field(
        "hold",
        description='While the server gives no usable response: "hold" lets films wait, "local" reads them with a '
        "bundle on this host.",
    )
    fallback_bundle: NameOrPath = Field("", description="Bundle of the fallback; empty: read.bundle.")
    hold_s: Seconds = Field(
        72 * 3600.0, description="Time that a film waits for the server before it is not analysed, in seconds."
    )
    tls_ca: OptionalPath = Field(
        None, description="PEM file of the certificate authorities trusted for the server. Required for https."
    )

    @property
    def is_loopback(self) -> bool:
        """Whether the server runs on this host."""
        return urlsplit(self.url).hostname in _LOOPBACK

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for each setting that contradicts another."""
        yield from super().contradictions(key)
        try:
            is_https, _ = self.url.startswith("https://"), urlsplit(self.url).port
        except ValueError:
            yield f"{key}.url: the port is not a number from 1 to 65535"
            return
        if is_https and not self.tls_ca:
            yield f"{key}.url: https needs {key}.tls_ca, the authorities that the server's certificate is checked with"
        if self.tls_ca and self.url and not is_https:
            yield f"{key}.tls_ca: needs a url that begins with https"
        if self.token_file and self.url and not is_https and not self.is_loopback:
            yield f"{key}.token_file: needs https and {key}.tls_ca; without, the token is sent in plain text"
        if bool(self.model) != bool(self.model_version):
            yield f"{key}.model and {key}.model_version: one is of no use without the other"
