"""C-ECHO of the node to its own receiver: whether the receiver answers, for /health/ready."""

import ssl

from pynetdicom import build_context

from cxr_node.domain.identifiers import AeTitle, parse_ae_title
from cxr_node.domain.sop_classes import VERIFICATION
from cxr_node.net.association_request import AssociationRequest
from cxr_node.net.scu import associate
from cxr_node.settings.root import Settings
from cxr_node.wiring import heartbeat

_TIMEOUT_S = 5.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared with, not bound to


def receiver_fault(settings: Settings) -> str:
    """Return why the receiver of this host cannot be used; empty if it answers, or if it cannot be asked.

    It is asked by a C-ECHO under an AE title of this run, which passes its rules for peers and is in no log. A receiver
    that rejects the association, because all are in use, answers. It cannot be asked if it demands certificates of its
    peers (`receive.tls_peers_ca`).
    """
    address, title = heartbeat.receive_address(settings), heartbeat.echo_title(settings)
    if not address or title is None or settings.receive.tls_peers_ca is not None:
        return ""
    fault = _echo_fault(settings, address, title)
    return f"the receiver does not answer C-ECHO at {address}: {fault}" if fault else ""


def _echo_fault(settings: Settings, address: str, title: AeTitle) -> str:
    host, _, port = address.rpartition(":")
    call = AssociationRequest(
        host=_ANY_ADDRESS.get(host, host),
        port=int(port),
        called_ae_title=parse_ae_title(settings.receive.ae_title),
        calling_ae_title=title,
        connection_timeout_s=_TIMEOUT_S,
        acse_timeout_s=_TIMEOUT_S,
        dimse_timeout_s=_TIMEOUT_S,
        network_timeout_s=_TIMEOUT_S,
    )
    with associate(call, [build_context(VERIFICATION)], tls=_tls(settings)) as association:
        if association.is_rejected:
            return ""
        if not association.is_established:
            return "no association"
        return "" if association.send_c_echo().get("Status") == 0 else "no response"


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """Return a context without verification: the peer is this host, and nothing secret is sent."""
    if settings.receive.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
