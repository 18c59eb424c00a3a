"""Syslog receivers: Debian's rsyslog, and a collector that can close connections."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tests.support import peers
from tests.support.certificates import Certificate
from tests.support.peers import LOOPBACK


@contextmanager
def rsyslog(
    folder: Path, *, port: int, certificate: Certificate | None = None, client_ca: Certificate | None = None
) -> Iterator[Path]:
    """Run rsyslog on `port`; yield its output file.

    By TLS with `certificate`; clients need a certificate of `client_ca` if it is set.
    """
    folder.mkdir(exist_ok=True)
    written = folder / "received.log"
    tls = ""
    if certificate is not None:
        ca = client_ca or certificate
        tls = f"""global(DefaultNetstreamDriver="gtls"
  DefaultNetstreamDriverCAFile="{ca.certificate}"
  DefaultNetstreamDriverCertFile="{certificate.certificate}"
  DefaultNetstreamDriverKeyFile="{certificate.key}")
"""
    driver = ""
    if certificate is not None:
        mode = "x509/certvalid" if client_ca is not None else "anon"
        driver = f'StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="{mode}"'
    settings = folder / "rsyslog.conf"
    settings.write_text(
        f"""global(workDirectory="{folder}" maxMessageSize="64k")
{tls}module(load="imtcp" {driver})
template(name="as-sent" type="list") {{
  property(name="pri") constant(value=" ") property(name="timereported" dateFormat="rfc3339")
  constant(value=" ") property(name="hostname") constant(value=" ") property(name="app-name")
  constant(value=" ") property(name="msgid") constant(value=" ") property(name="msg") constant(value="\\n")
}}
ruleset(name="audit") {{ action(type="omfile" file="{written}" template="as-sent") }}
input(type="imtcp" address="{LOOPBACK}" port="{port}" ruleset="audit")
""",
        encoding="utf-8",
    )
    program = peers.program("rsyslogd")
    with peers.running([program, "-n", "-f", settings, "-i", folder / "rsyslog.pid"]):
        peers.until(lambda: _answers(port), what="an answer of rsyslog")
        yield written


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


@dataclass(slots=True)
class Collector:
    """A receiver that counts octets (RFC 6587 section 3.4.1) and can close its connections."""

    port: int
    messages: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    def hang_up(self) -> None:
        """End every connection."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _length(stream: BinaryIO) -> int | None:
    """Return the number before the next message (MSG-LEN SP), None where there are no more."""
    digits = b""
    while (digit := stream.read(1)).isdigit():
        digits += digit
    return int(digits) if digits and digit == b" " else None


@contextmanager
def collector(*, port: int = 0, certificate: Certificate | None = None) -> Iterator[Collector]:
    """Run one, by TLS if it has a certificate."""
    listener = socket.create_server((LOOPBACK, port))
    collecting = Collector(port=int(listener.getsockname()[1]))
    context: ssl.SSLContext | None = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)

    def serve(accepted: socket.socket) -> None:
        with suppress(OSError), accepted:
            connection = context.wrap_socket(accepted, server_side=True) if context else accepted
            with connection, connection.makefile("rb") as stream:
                collecting.connections.append(connection)
                while (length := _length(stream)) is not None:
                    collecting.messages.append(stream.read(length))

    def accept() -> None:
        with suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                threading.Thread(target=serve, args=(accepted,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield collecting
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        collecting.hang_up()
        thread.join(10)
