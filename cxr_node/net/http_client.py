"""HTTP client: one request per connection, with a total time-out and a limit of the response.

The time-out covers connecting, sending and the last byte of the response: a server that sends a byte at a time cannot
exceed it. Redirects are not followed, so credentials go to the configured server only.
"""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from cxr_node.net.timed_response import response_until
from cxr_node.net.tls import failure_reason, restrict
from cxr_node.net.tls_peer import TlsPeer

_PART = 1 << 16
_SUCCESS = range(200, 300)


class HttpError(Exception):
    """No whole response. `is_unreachable` if another request would fail too: no connection, or no answer in time."""

    def __init__(self, message: str, *, is_unreachable: bool = False) -> None:
        super().__init__(message)
        self.is_unreachable = is_unreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response. The body of one without success is cut at the limit of the client."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 200 to 299."""
        return self.status in _SUCCESS

    @property
    def content_type(self) -> str:
        """Media type without parameters, in lower case."""
        return self.headers.get_content_type()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServer:
    """Address and limits of a server. `url` is http or https with a path prefix, without user, query and fragment.

    With https and no `tls` the authorities of the operating system are trusted.
    """

    url: str
    tls: TlsPeer | None = None
    connect_timeout_s: float = 5.0
    timeout_s: float = 60.0
    maximum_response_bytes: int = 1 << 20
    clock: Callable[[], float] = field(default=time.monotonic)

    def __str__(self) -> str:
        """Return host and port, for messages."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Sequence[bytes | memoryview] = (),
        *,
        reads_body: bool = True,
    ) -> Response:
        """Send a request to `path` below the URL and return the response; the parts of the body are not copied.

        Without `reads_body` the body of the response is left unread, whatever its encoding and size, and is empty.

        Raises
        ------
        HttpError
            If there is no whole response in time and within its limit, or no connection.
        """
        deadline = self.clock() + self.timeout_s
        address = urlsplit(self.url).path.rstrip("/") + path or "/"
        sent = {"Accept-Encoding": "identity", "Connection": "close", **headers}
        if body:
            sent["Content-Length"] = str(sum(map(len, body)))
        connection = self._connection(deadline)
        try:
            self._connect(connection)
            # A server may refuse, and close the connection, before it has read the body.
            with suppress(BrokenPipeError, ConnectionResetError):
                parts = self._in_parts(connection, body, deadline) if body else None
                connection.request(method, address, parts, sent)
            with connection.getresponse() as response:
                if not reads_body:
                    return Response(status=response.status, headers=response.headers, body=b"")
                return self._receive(response)
        except TimeoutError:
            raise HttpError(f"{self} did not answer within {self.timeout_s:g} s", is_unreachable=True) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = failure_reason(error) if isinstance(error, OSError) else "it is not HTTP"
            raise HttpError(f"{self} ended the connection without a whole response ({reason})") from error
        finally:
            connection.close()

    def _in_parts(
        self, connection: HTTPConnection, body: Sequence[bytes | memoryview], deadline: float
    ) -> Iterator[memoryview]:
        for content in body:
            for start in range(0, len(content), _PART):
                connection.sock.settimeout(self._remaining_s(deadline))
                yield memoryview(content)[start : start + _PART]

    def _connection(self, deadline: float) -> HTTPConnection:
        address = urlsplit(self.url)
        host, timeout_s = address.hostname or "", min(self.connect_timeout_s, self.timeout_s)
        if address.scheme == "https":
            connection: HTTPConnection = HTTPSConnection(
                host, address.port, timeout=timeout_s, context=self._tls_context()
            )
        else:
            connection = HTTPConnection(host, address.port, timeout=timeout_s)
        connection.response_class = response_until(lambda: self._remaining_s(deadline))
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        try:
            return restrict(ssl.create_default_context()) if self.tls is None else self.tls.context()
        except OSError as error:
            message = f"TLS files for {self} cannot be used: {failure_reason(error)}"
            raise HttpError(message, is_unreachable=True) from error

    def _connect(self, connection: HTTPConnection) -> None:
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise HttpError(f"no TLS with {self}: {failure_reason(error)}", is_unreachable=True) from error
        except OSError as error:
            raise HttpError(f"no connection to {self}: {failure_reason(error)}", is_unreachable=True) from error

    def _receive(self, response: HTTPResponse) -> Response:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise HttpError(f"the response of {self} is encoded as {encoding[:20]!a}, which was not requested")
        body = bytearray()
        while part := response.read(min(_PART, self.maximum_response_bytes + 1 - len(body))):
            body += part
            if len(body) > self.maximum_response_bytes:
                if response.status in _SUCCESS:
                    raise HttpError(f"the response of {self} is larger than {self.maximum_response_bytes} bytes")
                break
        else:
            if response.length:
                raise HttpError(f"{self} ended the connection {response.length} bytes early")
        content = bytes(body[: self.maximum_response_bytes])
        return Response(status=response.status, headers=response.headers, body=content)

    def _remaining_s(self, deadline: float) -> float:
        remaining_s = deadline - self.clock()
        if remaining_s <= 0:
            raise TimeoutError
        return remaining_s


def first_part(response: Response) -> bytes:
    """Return the content of the first part of a multipart response (RFC 2046), or the body of another.

    Raises
    ------
    ValueError
        If there is no part.
    """
    if not response.content_type.startswith("multipart/"):
        return response.body
    boundary = str(response.headers.get_param("boundary", "")).encode("latin-1", "replace")
    if not boundary:
        raise ValueError("no boundary")
    start = response.body.index(b"\r\n\r\n", response.body.index(b"--" + boundary)) + 4
    return response.body[start : response.body.index(b"\r\n--" + boundary, start)]
