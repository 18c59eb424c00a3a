"""Association negotiation: client certificate, supported contexts and user identity of an A-ASSOCIATE-RQ."""

import ssl
from collections.abc import Callable

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from cxr_node.domain.identifiers import Digest, digest_of


def client_certificate(association: Association) -> Digest | None:
    """Return the digest of the peer's certificate, if it presented one."""
    association_socket = association.dul.socket
    connection = association_socket.socket if association_socket is not None else None
    certificate = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
    return None if certificate is None else digest_of(certificate)


def restrict_contexts(association: Association, allows_sop_class: Callable[[str], bool]) -> None:
    """Remove supported contexts: negotiation answers abstract syntax not supported (PS3.8 table 9-18)."""
    acceptor = association.acceptor
    acceptor.supported_contexts = [
        context for context in acceptor.supported_contexts if allows_sop_class(str(context.abstract_syntax))
    ]


def confirm_user_identity(association: Association) -> None:
    """Add the positive response to a user name, which is empty (PS3.7 table D.3-15).

    pynetdicom itself responds to Kerberos, SAML and JWT only.
    """
    response = UserIdentityNegotiation()
    response.server_response = b""
    association.acceptor.add_negotiation_item(response)
