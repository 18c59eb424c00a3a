"""Settings of TLS. A path in a setting `tls_*` is a PEM file: `tls_key` holds a private key, others certificates."""

from collections.abc import Iterator

from pydantic import Field

from cxr_node.domain.section import OptionalPath, Seconds, Section
from cxr_node.net.tls_peer import TlsPeer


class TlsIdentity(Section):
    """The certificate of this node and its key."""

    tls_certificate: OptionalPath = Field(
        None, description="PEM file of this node's certificate and chain, shown to a peer that requests one."
    )
    tls_key: OptionalPath = Field(None, description="PEM file of the private key of tls_certificate, unencrypted.")

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield which TLS settings are set without another that they need."""
        yield from super().contradictions(key)
        if (self.tls_certificate is None) != (self.tls_key is None):
            yield f"{key}.tls_certificate and {key}.tls_key: one is of no use without the other"


class TlsListener(TlsIdentity):
    """A port of the node: it accepts TLS alone if `tls_certificate` is set, and asks for one if `tls_peers_ca` is."""

    tls_certificate: OptionalPath = Field(
        None,
        description="PEM file of this node's certificate and chain. If set, the port accepts TLS 1.2 and 1.3 only.",
    )
    tls_peers_ca: OptionalPath = Field(
        None,
        description="PEM file of the certificate authorities trusted for peers. If set, a certificate is required.",
    )
    tls_handshake_timeout_s: Seconds = Field(10.0, description="Timeout of the TLS handshake, in seconds.")

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield which TLS settings are set without another that they need."""
        yield from super().contradictions(key)
        if self.tls_peers_ca and not self.tls_certificate:
            yield f"{key}.tls_peers_ca: needs {key}.tls_certificate"


class TlsClient(TlsIdentity):
    """A peer that the node connects to, by TLS if `tls_ca` is set."""

    tls_ca: OptionalPath = Field(
        None,
        description="PEM file of the certificate authorities trusted for the peer. If set, connections use TLS only.",
    )
    tls_check_host: bool = Field(True, description="Require the peer's certificate to name its host.")

    @property
    def tls_peer(self) -> TlsPeer | None:
        """The PEM files of a TLS connection; None without `tls_ca`."""
        if self.tls_ca is None:
            return None
        return TlsPeer(
            ca=self.tls_ca, certificate=self.tls_certificate, key=self.tls_key, check_host=self.tls_check_host
        )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield which TLS settings are set without another that they need."""
        yield from super().contradictions(key)
        if self.tls_certificate and not self.tls_ca:
            yield f"{key}.tls_certificate: needs {key}.tls_ca"
