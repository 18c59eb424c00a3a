"""S3-compatible object store of the fault suite: the server of moto, behind a relay that can be cut."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException

from cxr_node.faults.load import wait_for

_HOST = "127.0.0.1"
_START_S = 60.0
_TIMEOUT_S = 10.0
_RELAY_BYTES = 1 << 16
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "faults", "AWS_SECRET_ACCESS_KEY": "faults"}


def reason_why_not() -> str:
    """Return why no object store can be run here; empty if one can."""
    missing = [name for name in ("moto", "flask", "obstore") if importlib.util.find_spec(name) is None]
    return f"{', '.join(missing)} not installed (pip install 'moto[s3,server]' 'cxr-node[s3]')" if missing else ""


class Store:
    """A running object store with one bucket. Its objects are in memory, so that the process is never killed."""

    def __init__(self, process: "subprocess.Popen[bytes]", relay: "_Relay", bucket: str) -> None:
        self._process, self._relay = process, relay
        self.bucket = bucket

    @property
    def settings(self) -> dict[str, object]:
        """Settings of [archive]."""
        endpoint = f"http://{_HOST}:{self._relay.port}"
        return {"bucket": self.bucket, "bucket_endpoint": endpoint, "bucket_timeout_s": 3.0}

    def suspend(self, *, is_suspended: bool) -> None:
        """Let the store accept connections and answer no request, or answer again."""
        self._process.send_signal(signal.SIGSTOP if is_suspended else signal.SIGCONT)

    def cut(self, *, is_cut: bool) -> None:
        """End every connection and accept no other, or accept them again."""
        self._relay.cut(is_cut=is_cut)


@contextmanager
def running() -> Iterator[Store]:
    """Run a store while the block lasts, with credentials for it in the environment."""
    with socket.create_server((_HOST, 0)) as probe:
        port = int(probe.getsockname()[1])
    with ExitStack() as stack:
        process = subprocess.Popen(  # noqa: S603  # a module of this installation
            [sys.executable, "-m", "moto.server", "--host", _HOST, "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        bucket = f"films-{uuid.uuid4().hex}"
        if not wait_for(lambda: _create(port, bucket), _START_S):
            raise TimeoutError("the object store has not started")
        stack.enter_context(_environment(_CREDENTIALS))
        yield Store(process, stack.enter_context(_relaying(port)), bucket)


def _create(port: int, bucket: str) -> bool:
    connection = HTTPConnection(_HOST, port, timeout=_TIMEOUT_S)
    try:
        connection.request("PUT", f"/{bucket}", headers={"Content-Length": "0"})
        return connection.getresponse().status < 300
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Relay:
    """Relays connections to a port until it is cut."""

    def __init__(self, listener: socket.socket, target_port: int) -> None:
        self.port = int(listener.getsockname()[1])
        self._listener, self._target_port = listener, target_port
        self._lock = threading.Lock()
        self._is_cut = False
        self._open: set[socket.socket] = set()

    def cut(self, *, is_cut: bool) -> None:
        """End every connection and accept no other, or accept them again."""
        with self._lock:
            self._is_cut = is_cut
            for connection in self._open if is_cut else ():
                _shut_down(connection)

    def serve(self) -> None:
        """Accept connections until the listener is shut down."""
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(connection,), daemon=True).start()

    def _relay(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), socket.create_connection((_HOST, self._target_port), _TIMEOUT_S) as target:
            target.settimeout(None)
            ends = {connection, target}
            with self._lock:
                if self._is_cut:
                    return
                self._open |= ends
            responses = threading.Thread(target=_pump, args=(target, connection), daemon=True)
            responses.start()
            _pump(connection, target)
            responses.join()
            with self._lock:
                self._open -= ends


@contextmanager
def _relaying(target_port: int) -> Iterator[_Relay]:
    with socket.create_server((_HOST, 0), backlog=128) as listener:
        relay = _Relay(listener, target_port)
        thread = threading.Thread(target=relay.serve, name="relay", daemon=True)
        thread.start()
        try:
            yield relay
        finally:
            relay.cut(is_cut=True)
            _shut_down(listener)
            thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Forward bytes until one end closes; then close both."""
    with suppress(OSError):
        while content := source.recv(_RELAY_BYTES):
            sink.sendall(content)
    _shut_down(source)
    _shut_down(sink)


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
