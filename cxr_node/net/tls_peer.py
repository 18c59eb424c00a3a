"""TLS towards a peer: the authorities trusted for its certificate, and the certificate shown to it."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from cxr_node.net.tls import failure_reason, restrict


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPeer:
    """PEM files of a TLS connection to a peer.

    `ca` holds the authorities trusted for the peer's certificate, which must name the peer's host if `check_host`.
    `certificate` with its `key` is shown to a peer that requests one.
    """

    ca: Path
    certificate: Path | None = None
    key: Path | None = None
    check_host: bool = True

    def context(self, failures: list[str] | None = None) -> ssl.SSLContext:
        """Return a context of the files as they are now; the reason of a failed handshake is added to `failures`.

        Raises
        ------
        OSError
            If the files cannot be used.
        """
        context = restrict(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        context.check_hostname = self.check_host
        context.load_verify_locations(self.ca)
        if self.certificate is not None:
            # Without a password OpenSSL would prompt at the terminal for that of an encrypted key.
            context.load_cert_chain(self.certificate, self.key, password="")
        if failures is not None:
            context.sslsocket_class = _recording(failures)
        return context


def _recording(failures: list[str]) -> type[ssl.SSLSocket]:
    class RecordingSocket(ssl.SSLSocket):
        """Records the reason of a failed handshake, which pynetdicom only logs."""

        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
            except OSError as error:
                failures.append(failure_reason(error))
                raise

    return RecordingSocket
