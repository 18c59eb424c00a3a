"""Listener of simulated servers on loopback: a thread for each connection, TLS, and the same port after each start."""

import socketserver
import ssl
import threading
from typing import Any, Self


class Listener:
    """Listens from `start` to `stop`; a handler reaches it as its `owner`.

    Parameters
    ----------
    handler
        Class of the connections' handlers, for example a `BaseHTTPRequestHandler`.
    port
        0 for any free port. After `stop`, `start` listens at the same.
    tls
        Context of a server with TLS; the handshake is left to the connection's thread.
    """

    def __init__(
        self, handler: type[socketserver.BaseRequestHandler], *, port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.port = port
        self._handler, self._tls = handler, tls
        self._server: socketserver.ThreadingTCPServer | None = None
        self._released = threading.Event()

    @property
    def web_address(self) -> str:
        """URL of a web server, without a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        handler = type("Handler", (self._handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Close the port; a connection is refused from now on."""
        server, self._server = self._server, None
        if server is not None:
            self._released.set()
            server.shutdown()
            server.server_close()
            self._released = threading.Event()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Hold a response until the server stops; return whether it has."""
        return self._released.wait(timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = False
    block_on_close = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Drop errors of a connection: clients close early."""
