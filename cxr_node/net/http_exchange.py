"""One request over HTTP/1.1 and its response: the body in blocks as it arrives, every wait with a deadline."""

import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

from cxr_node.domain.identifiers import Digest

_BLOCK_BYTES = 1 << 18
_SENT_BYTES = 1 << 16
"""Most bytes of a response in one wait for the client."""
_FIELDS = 64
"""Most parameters of a query."""


class RequestRejected(Exception):
    """The request gets this status, with a sentence that quotes nothing of it."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


class BodyTooLarge(RequestRejected):
    """The body is larger than the server takes."""

    def __init__(self, maximum_bytes: int) -> None:
        super().__init__(413, f"the body is larger than {maximum_bytes} bytes")


class BodyIncomplete(RequestRejected):
    """The client closed its side, or stopped sending, before the end of the body."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


class Disconnected(Exception):
    """The client has closed the connection, or does not read its response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Limits of a connection, in seconds: header of a request, silence, and a whole request with its response."""

    header_timeout_s: float = 10.0
    idle_timeout_s: float = 30.0
    request_timeout_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who sent a request: its address, and the digest of its certificate, if it showed one."""

    address: str
    certificate: Digest | None = None
    is_secure: bool = False


class HttpConnection:
    """A connection of a client, read and written by one thread."""

    def __init__(
        self, connection: socket.socket, *, limits: HttpLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._socket = connection
        self._limits = limits
        self._clock = clock
        self._deadline = 0.0
        self.protocol = h11.Connection(h11.SERVER)

    def wait_at_most(self, seconds: float) -> None:
        """Start the deadline of everything that follows."""
        self._deadline = self._clock() + seconds

    def next_event(self) -> object:
        """Return what the client sends next.

        Raises
        ------
        TimeoutError
            If it does not come in time.
        OSError
            If the connection has failed.
        h11.RemoteProtocolError
            If it is not HTTP.
        """
        while True:
            event = self.protocol.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self.protocol.they_are_waiting_for_100_continue:
                self.send(h11.InformationalResponse(status_code=100, headers=[], reason="Continue"))
            self._socket.settimeout(self._remaining_s())
            self.protocol.receive_data(self._socket.recv(_BLOCK_BYTES))

    def send(self, *events: h11.Event) -> None:
        """Send events together; raises as `next_event`.

        The time-out of silence applies to each part that the client takes, the deadline to all of them.
        """
        rest = memoryview(b"".join(self.protocol.send(event) or b"" for event in events))
        while rest:
            self._socket.settimeout(self._remaining_s())
            rest = rest[self._socket.send(rest[:_SENT_BYTES]) :]

    def _remaining_s(self) -> float:
        remaining_s = min(self._deadline - self._clock(), self._limits.idle_timeout_s)
        if remaining_s <= 0:
            raise TimeoutError
        return remaining_s


class Exchange:
    """A request, and its response, which is sent once.

    Raises
    ------
    ValueError
        If the target of the request is no URI.
    """

    def __init__(self, connection: HttpConnection, request: h11.Request, *, client: Client) -> None:
        target = urlsplit(request.target.decode("latin-1"))
        self._connection = connection
        self._headers: dict[str, str] = {}
        for name, value in ((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers):
            self._headers[name] = f"{self._headers[name]}, {value}" if name in self._headers else value
        self._query = target.query
        self.client = client
        self.method = request.method.decode("latin-1")
        self.path = tuple(unquote(step) for step in target.path.strip("/").split("/"))
        self.has_responded = False
        self.common_headers: dict[str, str] = {}
        """Fields of the response, whatever its status."""
        if self.header("content-length") in ("", "0") and not self.header("transfer-encoding"):
            connection.protocol.next_event()  # the end of a request without a body

    def header(self, name: str) -> str:
        """Return the value of a field of the header, by its lower-case name; empty if there is none."""
        return self._headers.get(name, "")

    def query(self) -> list[tuple[str, str]]:
        """Return the parameters of the query, in order; raise RequestRejected if there are too many."""
        try:
            return parse_qsl(self._query, keep_blank_values=True, max_num_fields=_FIELDS)
        except ValueError:
            raise RequestRejected(400, f"the query has more than {_FIELDS} parameters") from None

    def body(self, *, maximum_bytes: int) -> Iterator[bytes]:
        """Yield the blocks of the body. A client that waits for 100 Continue gets it now.

        Raises
        ------
        BodyTooLarge
            If it is larger than `maximum_bytes`: at once, if its Content-Length says so.
        BodyIncomplete
            If it does not come whole, or in time.
        """
        length = self.header("content-length")
        if length and int(length) > maximum_bytes:  # h11 has checked that it is a number
            raise BodyTooLarge(maximum_bytes)
        return self._blocks(maximum_bytes)

    def _blocks(self, maximum_bytes: int) -> Iterator[bytes]:
        size_bytes = 0
        while self._connection.protocol.their_state is not h11.DONE:
            try:
                event = self._connection.next_event()
            except TimeoutError:
                raise BodyIncomplete("the body did not come in time") from None
            except (OSError, h11.RemoteProtocolError):
                raise BodyIncomplete("the body ended early, or is not HTTP") from None
            if not isinstance(event, h11.Data):
                return
            size_bytes += len(event.data)
            if size_bytes > maximum_bytes:
                raise BodyTooLarge(maximum_bytes)
            yield event.data

    def respond(
        self, status: int, content: bytes | Iterable[bytes] = b"", *, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send the response; without a known length, in chunks.

        Raises
        ------
        Disconnected
            If the client does not take it. What an iterator of blocks raises is raised as it is.
        """
        self.has_responded = True
        content = b"" if self.method == "HEAD" else content
        fields = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        fields |= {**self.common_headers, **(headers or {})}
        blocks: Iterable[bytes] = (content,) if isinstance(content, bytes) else content
        if isinstance(content, bytes):
            fields["Content-Length"] = str(len(content))
        if self._connection.protocol.their_state is not h11.DONE:  # the rest of the body is not read
            fields["Connection"] = "close"
        head = h11.Response(status_code=status, headers=list(fields.items()))
        if isinstance(content, bytes) and len(content) <= _BLOCK_BYTES:
            self._send(head, h11.Data(data=content), h11.EndOfMessage())
            return
        self._send(head)
        for block in blocks:
            self._send(h11.Data(data=block))
        self._send(h11.EndOfMessage())

    def _send(self, *events: h11.Event) -> None:
        try:
            self._connection.send(*events)
        except OSError as error:
            raise Disconnected from error

    def reject(self, rejected: RequestRejected) -> None:
        """Send the response of a rejected request."""
        body = json.dumps({"detail": str(rejected)}).encode()
        self.respond(rejected.status, body, headers={"Content-Type": "application/json", **rejected.headers})


def close_gently(connection: socket.socket, *, seconds: float, maximum_bytes: int = 1 << 24) -> None:
    """Close a connection so that a client that still sends can read the response: what it sends is discarded.

    Otherwise the operating system resets the connection, and the client may lose the response.
    """
    deadline = time.monotonic() + seconds
    try:
        # Of an SSLSocket the plain methods: nothing is decrypted any more.
        socket.socket.shutdown(connection, socket.SHUT_WR)
        while maximum_bytes > 0 and (remaining_s := deadline - time.monotonic()) > 0:
            connection.settimeout(remaining_s)
            discarded = socket.socket.recv(connection, _BLOCK_BYTES)
            if not discarded:
                break
            maximum_bytes -= len(discarded)
    except OSError:
        pass
    finally:
        connection.close()
