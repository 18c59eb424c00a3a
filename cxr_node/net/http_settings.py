"""Settings of an HTTP server that the node sends requests to: address, authorization, time-outs, TLS."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field

from cxr_node.domain.section import OptionalPath, Seconds, text_form
from cxr_node.net.tls_settings import TlsClient

if TYPE_CHECKING:
    from cxr_node.net.http_authorization import Authorization, AuthorizedServer
    from cxr_node.net.http_client import HttpServer

_URL = r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_MAX_TOKEN_RESPONSE_BYTES = 1 << 16
_NEEDS: dict[str, tuple[str, ...]] = {
    "none": (),
    "basic": ("user", "password_file"),
    "bearer": ("token_file",),
    "oauth2": ("token_url", "client_id", "client_secret_file"),
}


class HttpServerSection(TlsClient):
    """An HTTP server."""

    url: Annotated[str, text_form(_URL, "http(s)://HOST:PORT/PATH without user and query")] = Field(
        description="Its base URL. With https and no tls_ca the authorities of the operating system are trusted."
    )
    auth: Literal["none", "basic", "bearer", "oauth2"] = Field(
        "none",
        description='Authorization: "basic" (user, password_file), "bearer" (token_file), or "oauth2", client '
        "credentials (token_url, client_id, client_secret_file). Needs https, except on this host.",
    )
    user: str = Field("", max_length=128, description='User of auth = "basic".')
    password_file: OptionalPath = Field(None, description="File with the user's password, one line.")
    token_file: OptionalPath = Field(None, description="File with a bearer token, one line, read at each request.")
    token_url: Annotated[str, text_form(f"({_URL})?", "http(s)://HOST:PORT/PATH without user and query")] = Field(
        "", description='Token endpoint of auth = "oauth2".'
    )
    client_id: str = Field("", max_length=256, description="Client ID of this node at the token endpoint.")
    client_secret_file: OptionalPath = Field(None, description="File with the client secret, one line.")
    scope: str = Field("", max_length=512, description="Scope that is requested from the token endpoint; empty: none.")
    headers: tuple[Annotated[str, text_form(r"[A-Za-z0-9-]+: [\x20-\x7e]+", '"Name: value"')], ...] = Field(
        (), description='Further headers of each request, such as "X-Site: north".'
    )
    connect_timeout_s: Seconds = Field(5.0, description="Time-out of a connection, in seconds.")
    timeout_s: Seconds = Field(60.0, description="Time-out of a request with its whole response, in seconds.")

    def server(self, *, maximum_response_bytes: int) -> "AuthorizedServer":
        """Return the server of these settings."""
        # Every command loads the settings, and few send requests.
        from cxr_node.net.http_authorization import AuthorizedServer

        headers = {name: value for name, _, value in (line.partition(": ") for line in self.headers)}
        server = self._server(self.url, maximum_response_bytes)
        return AuthorizedServer(server=server, authorization=self._authorization(), headers=headers)

    def _authorization(self) -> "Authorization | None":
        from cxr_node.net.http_authorization import BasicAuthorization, BearerAuthorization, ClientCredentials

        match self.auth:
            case "basic" if self.password_file:
                return BasicAuthorization(user=self.user, password_file=self.password_file)
            case "bearer" if self.token_file:
                return BearerAuthorization(token_file=self.token_file)
            case "oauth2" if self.client_secret_file:
                return ClientCredentials(
                    server=self._server(self.token_url, _MAX_TOKEN_RESPONSE_BYTES),
                    client_id=self.client_id,
                    client_secret_file=self.client_secret_file,
                    scope=self.scope,
                )
            case _:
                return None

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for each setting that contradicts another."""
        yield from super().contradictions(key)
        addresses = {f"{key}.{name}": urlsplit(getattr(self, name)) for name in ("url", "token_url")}
        yield from (
            f"{name}: the port is not a number from 1 to 65535" for name in addresses if not _has_port(addresses[name])
        )
        if self.tls_ca and not self.url.startswith("https://"):
            yield f"{key}.tls_ca: needs a url that begins with https"
        for name in _NEEDS[self.auth]:
            if not getattr(self, name):
                yield f'{key}.{name}: must be set for auth = "{self.auth}"'
        for name, address in addresses.items():
            if self.auth != "none" and address.scheme == "http" and address.hostname not in _LOOPBACK:
                yield f"{name}: auth needs https; without, credentials are sent in plain text"

    def _server(self, url: str, maximum_response_bytes: int) -> "HttpServer":
        from cxr_node.net.http_client import HttpServer

        return HttpServer(
            url=url,
            tls=self.tls_peer,
            connect_timeout_s=self.connect_timeout_s,
            timeout_s=self.timeout_s,
            maximum_response_bytes=maximum_response_bytes,
        )


def _has_port(address: SplitResult) -> bool:
    """Whether the port of a URL is absent or valid."""
    try:
        return address.port is None or address.port > 0
    except ValueError:
        return False
