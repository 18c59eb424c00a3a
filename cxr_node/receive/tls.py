"""TLS of received connections: certificates reloaded when their files change, handshakes with a time-out."""

import logging
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cxr_node.net.tls import failure_reason, restrict

_log = logging.getLogger(__name__)

_MAXIMUM_HANDSHAKES = 256
"""Concurrent handshakes. Each holds a thread and a file descriptor, of which a process may have 1,024."""

Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files: certificate chain, key, and CA of client certificates (None: no client certificate is required)."""

    certificate: Path
    key: Path
    peers_ca: Path | None = None


class CertificateFiles:
    """The TLS context of `files`, reloaded when one of them changes.

    Raises
    ------
    OSError
        If the files cannot be used at the start. A failed reload keeps the former context.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._loaded = _stamps(files)
        self._context = _context(files)

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        with self._lock:
            stamps = _stamps(self._files)
            if stamps != self._loaded:
                # One attempt for each change: between the replacement of two files they do not match.
                self._loaded = stamps
                self._reload()
            return self._context

    def _reload(self) -> None:
        try:
            self._context = _context(self._files)
        except OSError as error:
            _log.error("changed TLS files cannot be used, the former stay in use: %s", failure_reason(error))
        else:
            _log.info("TLS files reloaded")


class Handshakes:
    """TLS handshakes, each within `timeout_s` in total.

    Called from the thread of each connection, never from the accept loop. Above `maximum` concurrent handshakes the
    oldest is closed, so that stalled peers cannot block others.
    """

    def __init__(self, certificates: CertificateFiles, *, timeout_s: float, maximum: int = _MAXIMUM_HANDSHAKES) -> None:
        self._certificates = certificates
        self._timeout_s = timeout_s
        self._maximum = maximum
        self._lock = threading.Lock()
        self._pending: dict[ssl.SSLSocket, None] = {}
        self._closed = False

    def handshake(self, accepted: socket.socket) -> ssl.SSLSocket:
        """Return the TLS socket of `accepted`, which is closed if the handshake fails.

        Raises
        ------
        OSError
            If the handshake fails, the peer is not trusted, or the time-out expires.
        """
        with accepted:  # no effect after wrap_socket, which detaches it
            connection = self._certificates.context().wrap_socket(
                accepted, server_side=True, do_handshake_on_connect=False
            )
        try:
            # ssl applies the time-out to the whole handshake, not to each read.
            connection.settimeout(self._timeout_s)
            self._register(connection)
            connection.do_handshake()
        except OSError:
            connection.close()
            raise
        finally:
            with self._lock:
                self._pending.pop(connection, None)
        return connection

    def close(self) -> None:
        """Close the connections of unfinished handshakes, and of all later ones."""
        with self._lock:
            self._closed = True
            for connection in self._pending:
                _shut_down(connection)

    def _register(self, connection: ssl.SSLSocket) -> None:
        with self._lock:
            if self._closed:
                _shut_down(connection)
            self._pending[connection] = None
            if len(self._pending) > self._maximum:
                oldest = next(iter(self._pending))
                del self._pending[oldest]
                _shut_down(oldest)


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = restrict(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    # A resumed session would outlive a change of certificates.
    context.num_tickets = 0
    # With an encrypted key and no password OpenSSL prompts at the terminal.
    context.load_cert_chain(files.certificate, files.key, password="")
    if files.peers_ca is not None:
        context.load_verify_locations(files.peers_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _stamps(files: TlsFiles) -> tuple[Stamp, ...]:
    return tuple(_stamp(path) for path in (files.certificate, files.key, files.peers_ca) if path is not None)


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _shut_down(connection: ssl.SSLSocket) -> None:
    with suppress(OSError):
        # SSLSocket.shutdown would drop the session that the handshake's thread still uses.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
