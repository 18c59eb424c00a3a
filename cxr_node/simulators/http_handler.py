"""Handler of the simulated web servers' requests: writes whole or truncated responses, and logs nothing."""

from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Protocol

RETRY_AFTER_S = 7
"""Seconds after which a server that answers 503 wants the request again."""


class HasUrl(Protocol):
    """Server of the requests."""

    @property
    def url(self) -> str:
        """Address that clients are given."""


class HttpHandler(BaseHTTPRequestHandler):
    """Handler whose subclasses answer by `respond`."""

    owner: HasUrl
    timeout = 30.0

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def respond(
        self,
        status: int,
        body: bytes = b"",
        content_type: str = "text/plain",
        *,
        headers: Mapping[str, str] | None = None,
        is_cut: bool = False,
    ) -> None:
        """Write a response; 503 has a Retry-After, 307 the address of another resource of the same server.

        Parameters
        ----------
        headers
            Further headers.
        is_cut
            Whether only the first half of the body is written, while Content-Length is that of the whole.
        """
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", str(RETRY_AFTER_S))
        if status == 307:
            self.send_header("Location", f"{self.owner.url}/elsewhere")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if is_cut else body)
