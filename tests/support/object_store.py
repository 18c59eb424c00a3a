"""An S3 store on loopback, and a proxy to it that injects faults."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cxr_node.archive.objects import Bucket

LOOPBACK = "127.0.0.1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


class Mishap(Enum):
    """Fault of one upload."""

    ERROR = "answered 500, not stored"
    CUT = "cut in the middle, not stored"
    LOST = "stored, but the answer never comes"
    SLOW = "no answer within the time-out, not stored"


@contextmanager
def running() -> Iterator[str]:
    """Run a store for the block; yield its address."""
    # Imported here: every test process imports this module, and few start a store.
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def new_bucket(endpoint: str) -> Bucket:
    """Return an empty bucket of the store at `endpoint`."""
    name = f"films-{uuid.uuid4().hex}"
    connection = HTTPConnection(endpoint.removeprefix("http://"), timeout=10)
    try:
        connection.request("PUT", f"/{name}", headers={"Content-Length": "0"})
        if connection.getresponse().status != 200:
            raise RuntimeError("the store makes no bucket")
    finally:
        connection.close()
    return Bucket(name=name, endpoint=endpoint, timeout_s=10.0)


@dataclass(slots=True, kw_only=True, eq=False)
class Line:
    """The proxy: `mishaps` are the faults of the next uploads, in order; `uploads` counts all."""

    endpoint: str = ""
    mishaps: list[Mishap] = field(default_factory=list)
    uploads: int = 0
    checksums: list[str] = field(default_factory=list)
    """SHA-256 header of each upload, in base64."""


class _Proxy(ThreadingHTTPServer):
    """Forwards requests to the store at `target`, with the faults of `line`."""

    daemon_threads = True

    def __init__(self, line: Line, target: str) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.line, self.target, self.over = line, target, threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Proxy

    def do_PUT(self) -> None:
        line = self.server.line
        line.uploads += 1
        line.checksums.append(self.headers["x-amz-checksum-sha256"])
        size = int(self.headers["Content-Length"])
        match line.mishaps.pop(0) if line.mishaps else None:
            case None:
                self._answer(*self._forwarded(size))
            case Mishap.ERROR:
                self.rfile.read(size)
                self._answer(500, {}, b"")
            case Mishap.CUT:
                self.rfile.read(size // 2)
                self.close_connection = True
            case Mishap.LOST:
                self._forwarded(size)
                self.close_connection = True
            case Mishap.SLOW:
                self.rfile.read(size)
                self.server.over.wait(60)
                self.close_connection = True

    def do_GET(self) -> None:
        self._answer(*self._forwarded(0))

    def do_HEAD(self) -> None:
        self._answer(*self._forwarded(0))

    def do_DELETE(self) -> None:
        self._answer(*self._forwarded(0))

    def do_POST(self) -> None:
        self._answer(*self._forwarded(int(self.headers.get("Content-Length", "0"))))

    def _forwarded(self, size: int) -> tuple[int, dict[str, str], bytes]:
        body = self.rfile.read(size)
        connection = HTTPConnection(self.server.target, timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        dropped = {"transfer-encoding", "connection"} | (set() if self.command == "HEAD" else {"content-length"})
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in dropped:
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


@contextmanager
def faulty_line(to: Bucket) -> Iterator[Line]:
    """Run a proxy to a store for the block."""
    line = Line()
    server = _Proxy(line, to.endpoint.removeprefix("http://"))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    line.endpoint = f"http://{LOOPBACK}:{server.server_address[1]}"
    try:
        yield line
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
