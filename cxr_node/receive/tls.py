"""TLS for received connections: certificates as their files are now, handshakes that stop nobody else."""

import logging
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cxr_node.net.tls import restrict, spoken

_log = logging.getLogger(__name__)

_MOST_HANDSHAKES = 256
"""Handshakes under way at once; each holds a thread and a file descriptor, of which a process may have 1,024."""

Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files: our certificate with its chain, its key, and who may vouch for peers (None: any peer may come)."""

    certificate: Path
    key: Path
    peers_ca: Path | None = None


class Certificates:
    """The TLS context of `files`, made anew when one of them has changed.

    Raises
    ------
    OSError
        If the files cannot be used at the start. Later, what was read last stays in use.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._tried = _stamps(files)
        self._context = _context(files)

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        with self._lock:
            stamps = _stamps(self._files)
            if stamps != self._tried:
                # Tried once for each change: between two files being replaced they do not fit each other.
                self._tried = stamps
                self._read_again()
            return self._context

    def _read_again(self) -> None:
        try:
            self._context = _context(self._files)
        except OSError as error:
            _log.error("changed TLS files cannot be used, the former stay in use: %s", spoken(error))
        else:
            _log.info("TLS files have changed and were read again")


class Handshakes:
    """Shakes hands with connecting peers, each within `timeout_s` altogether however its bytes trickle.

    Called from the thread of each connection, never from the one that accepts. Of more than a bounded
    number at once the oldest is hung up on, so that peers that stall cannot keep others out.
    """

    def __init__(self, certificates: Certificates, *, timeout_s: float, most: int = _MOST_HANDSHAKES) -> None:
        self._certificates = certificates
        self._timeout_s = timeout_s
        self._most = most
        self._lock = threading.Lock()
        self._under_way: dict[ssl.SSLSocket, None] = {}
        self._closed = False

    def shake(self, accepted: socket.socket) -> ssl.SSLSocket:
        """Return `accepted` secured; it is closed and no longer to be used if that fails.

        Raises
        ------
        OSError
            If the peer does not speak TLS, is not trusted, or is too slow.
        """
        with accepted:  # what wrap_socket has taken over is no longer closed by this
            connection = self._certificates.context().wrap_socket(
                accepted, server_side=True, do_handshake_on_connect=False
            )
        try:
            # ssl keeps this for the whole handshake, not for each read of it.
            connection.settimeout(self._timeout_s)
            self._enter(connection)
            connection.do_handshake()
        except OSError:
            connection.close()
            raise
        finally:
            with self._lock:
                self._under_way.pop(connection, None)
        return connection

    def close(self) -> None:
        """Hang up on every peer that has not finished its handshake, and on all that begin one."""
        with self._lock:
            self._closed = True
            for connection in self._under_way:
                _hang_up(connection)

    def _enter(self, connection: ssl.SSLSocket) -> None:
        with self._lock:
            if self._closed:
                _hang_up(connection)
            self._under_way[connection] = None
            if len(self._under_way) > self._most:
                oldest = next(iter(self._under_way))
                del self._under_way[oldest]
                _hang_up(oldest)


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = restrict(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    # A session that is resumed would outlive a change of certificates.
    context.num_tickets = 0
    # Without a password OpenSSL would ask at the terminal for that of an encrypted key.
    context.load_cert_chain(files.certificate, files.key, password="")
    if files.peers_ca is not None:
        context.load_verify_locations(files.peers_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _stamps(files: TlsFiles) -> tuple[Stamp, ...]:
    return tuple(_stamp(path) for path in (files.certificate, files.key, files.peers_ca) if path is not None)


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _hang_up(connection: ssl.SSLSocket) -> None:
    with suppress(OSError):
        # Not SSLSocket's own, which takes the session away under the thread that uses it.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
