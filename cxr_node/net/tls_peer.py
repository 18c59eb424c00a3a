"""TLS towards a destination: who must vouch for it, and what we show it."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from cxr_node.net.tls import restrict, spoken


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPeer:
    """How a destination is recognised, and how we introduce ourselves.

    `ca` is a PEM file of the authorities that may vouch for the peer; its certificate must name the host
    it is reached at if `check_host`. `certificate` with its `key` is shown to a peer that asks for one.
    """

    ca: Path
    certificate: Path | None = None
    key: Path | None = None
    check_host: bool = True

    def context(self, failures: list[str]) -> ssl.SSLContext:
        """Return a context of the files as they are now; why a handshake failed is appended to `failures`.

        Raises
        ------
        OSError
            If the files cannot be used.
        """
        context = restrict(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        context.check_hostname = self.check_host
        context.load_verify_locations(self.ca)
        if self.certificate is not None:
            # Without a password OpenSSL would ask at the terminal for that of an encrypted key.
            context.load_cert_chain(self.certificate, self.key, password="")
        context.sslsocket_class = _noting(failures)
        return context


def _noting(failures: list[str]) -> type[ssl.SSLSocket]:
    class Noting(ssl.SSLSocket):
        """Keeps the reason that pynetdicom writes to its log and then forgets."""

        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
            except OSError as error:
                failures.append(spoken(error))
                raise

    return Noting
