"""TLS of the ports that the node listens on, from their settings."""

from cxr_node.net.tls_settings import TlsListener
from cxr_node.receive.tls import TlsFiles


def tls_files(section: TlsListener) -> TlsFiles | None:
    """Return the PEM files of a port; None if it accepts connections without TLS."""
    if section.tls_certificate is None or section.tls_key is None:
        return None
    return TlsFiles(certificate=section.tls_certificate, key=section.tls_key, peers_ca=section.tls_peers_ca)
