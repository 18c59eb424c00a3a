"""Check of the HL7 entrance: who may send, encrypted or not, and which issuer Patient IDs without one have."""

from collections.abc import Iterator

from cxr_node.ops.checks.node import Check, note, ok
from cxr_node.settings.root import Settings


def hl7_entrance(settings: Settings) -> Iterator[Check]:
    """Check the settings of [adt], if messages are received; `adt.port` is checked with the other ports."""
    section = settings.adt
    if not section.enabled:
        return
    networks = ", ".join(map(str, section.addresses))
    yield ok("HL7 entrance", f"messages on patients are accepted from {networks}{_by_tls(section.tls_certificate)}")
    if section.tls_certificate is None and not section.is_loopback:
        next_step = "set adt.tls_certificate and adt.tls_peers_ca unless the network between is trusted"
        yield note("HL7 encryption", "messages are received unencrypted", next_step)
    if not section.issuer:
        next_step = "set adt.issuer to the assigning authority of the site's Patient IDs"
        yield note("HL7 issuer", "a Patient ID without an issuer is taken for that of any issuer", next_step)


def _by_tls(certificate: object) -> str:
    return ", by TLS" if certificate is not None else ""
