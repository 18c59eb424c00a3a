"""HTTP client of an inference server: one request per connection, with a total time-out and a limit of the response.

The time-out covers connecting, sending and the last byte of the response: a server that sends a byte at a time cannot
exceed it. Redirects are not followed, so a token goes to the configured server only.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from cxr_node.domain.errors import cause_of
from cxr_node.infer.remote.outcome import RemoteError, RequestOutcome
from cxr_node.net.timed_response import response_until
from cxr_node.net.tls import failure_reason
from cxr_node.net.tls_peer import TlsPeer

_PART = 1 << 16
_MAX_TOKEN_BYTES = 16_384
_MAX_RETRY_AFTER_S = 300.0
_OK, _TOO_MANY, _UNAVAILABLE = 200, 429, 503

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response with status 200: its headers and its whole body."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteServer:
    """Address and limits of an inference server.

    `url` is http or https, with a path prefix if the server has one. `token_file` holds a bearer token (RFC 6750),
    read at each request, so that it may be replaced.
    """

    url: str
    tls: TlsPeer | None = None
    token_file: Path | None = None
    connect_timeout_s: float = 5.0
    timeout_s: float = 20.0
    maximum_response_bytes: int = 1 << 26
    clock: Clock = field(default=time.monotonic)

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.url).netloc

    def get(self, path: str) -> Response:
        """Send a GET request; see `_send`."""
        return self._send("GET", path, {}, b"")

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send a POST request; see `_send`."""
        return self._send("POST", path, headers, body)

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send a request and return the response.

        Raises
        ------
        RemoteError
            If the server is unreachable, too slow, answers another status than 200, or with too many bytes.
        """
        deadline = self.clock() + self.timeout_s
        headers = {**headers, **self._own_headers()}
        connection = self._connection(deadline)
        try:
            self._connect(connection)
            connection.sock.settimeout(self._remaining(deadline))
            connection.request(method, f"{urlsplit(self.url).path.rstrip('/')}/{path}", body or None, headers)
            return self._receive(connection.getresponse())
        except RemoteError:
            raise
        except TimeoutError:
            raise RemoteError(
                RequestOutcome.TIMED_OUT, f"{self.address} did not answer within {self.timeout_s:g} s"
            ) from None
        except (OSError, HTTPException) as error:
            raise RemoteError(
                RequestOutcome.TRUNCATED,
                f"{self.address} closed the connection before a whole response ({_reason(error)})",
            ) from error
        finally:
            connection.close()

    def _own_headers(self) -> dict[str, str]:
        headers = {"Connection": "close", "Accept-Encoding": "identity"}
        if self.token_file is None:
            return headers
        try:
            token = self.token_file.read_bytes()[:_MAX_TOKEN_BYTES].decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            message = f"remote.token_file cannot be read: {cause_of(error)}"
            raise RemoteError(RequestOutcome.NOT_SENT, message) from error
        if not token or not token.isprintable():
            raise RemoteError(RequestOutcome.NOT_SENT, "remote.token_file holds no token: one line is expected")
        return {**headers, "Authorization": f"Bearer {token}"}

    def _connection(self, deadline: float) -> HTTPConnection:
        address = urlsplit(self.url)
        host, timeout_s = address.hostname or "", min(self.connect_timeout_s, self.timeout_s)
        if address.scheme == "https" and self.tls is not None:
            try:
                context = self.tls.context()
            except OSError as error:
                raise RemoteError(
                    RequestOutcome.NOT_SENT, f"the TLS files of [remote] cannot be used: {failure_reason(error)}"
                ) from error
            connection: HTTPConnection = HTTPSConnection(host, address.port, timeout=timeout_s, context=context)
        else:
            connection = HTTPConnection(host, address.port, timeout=timeout_s)
        connection.response_class = response_until(lambda: self._remaining(deadline))
        return connection

    def _connect(self, connection: HTTPConnection) -> None:
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise RemoteError(
                RequestOutcome.TLS_FAILED, f"TLS with {self.address} failed: {failure_reason(error)}"
            ) from error
        except OSError as error:
            raise RemoteError(
                RequestOutcome.UNREACHABLE, f"{self.address} is unreachable: {failure_reason(error)}"
            ) from error

    def _receive(self, response: HTTPResponse) -> Response:
        if response.status != _OK:
            raise self._status_error(response)
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise RemoteError(RequestOutcome.INVALID, f"the response is encoded as {encoding[:20]!a}, not requested")
        body = bytearray()
        while part := response.read(_PART):
            body += part
            if len(body) > self.maximum_response_bytes:
                raise RemoteError(
                    RequestOutcome.TOO_LARGE,
                    f"the response of {self.address} is larger than remote.maximum_response_bytes "
                    f"({self.maximum_response_bytes})",
                )
        if response.length:
            raise RemoteError(
                RequestOutcome.TRUNCATED, f"{self.address} closed the connection {response.length} bytes early"
            )
        return Response(headers=dict(response.headers.items()), body=bytes(body))

    def _status_error(self, response: HTTPResponse) -> RemoteError:
        is_busy = response.status in (_TOO_MANY, _UNAVAILABLE)
        return RemoteError(
            RequestOutcome.BUSY if is_busy else RequestOutcome.HTTP_STATUS,
            f"{self.address} answered HTTP status {response.status}",
            status=response.status,
            retry_after_s=_retry_after_s(response.headers.get("Retry-After", "")),
        )

    def _remaining(self, deadline: float) -> float:
        remaining = deadline - self.clock()
        if remaining <= 0:
            raise TimeoutError
        return remaining


def _retry_after_s(text: str) -> float:
    """Return the delay of a Retry-After header in seconds, at most five minutes; 0 for a date or none."""
    return min(float(text), _MAX_RETRY_AFTER_S) if text.isdecimal() and len(text) < 10 else 0.0


def _reason(error: Exception) -> str:
    return failure_reason(error) if isinstance(error, OSError) else "its response is not HTTP"
