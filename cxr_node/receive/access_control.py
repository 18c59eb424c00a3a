"""The door: every rule about who may open an association, asked in turn."""

import ssl
from collections.abc import Callable
from typing import cast

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, UserIdentityNegotiation

from cxr_node.domain.identifiers import Digest, digest_of
from cxr_node.receive.admission import STORAGE_SOP_CLASSES, AccessControl, Peer, Rejection
from cxr_node.receive.association_limiter import AssociationLimiter
from cxr_node.receive.rate_limiter import RateLimiter
from cxr_node.receive.users import Users


class AssociationPolicy:
    """Lets association requests in, or says why not.

    No `users` means that no one is asked for a password; `has_room` says whether a film of so many
    bytes can be kept.
    """

    def __init__(self, admission: AccessControl, *, users: Users | None, has_room: Callable[[int], bool]) -> None:
        self._admission = admission
        self._users = users
        self._has_room = has_room
        self._guests = AssociationLimiter()
        self._paces = RateLimiter()

    def rejection(self, association: Association) -> Rejection | None:
        """Return why the association that is requested is not accepted; None if it is, and then it counts."""
        request = cast("A_ASSOCIATE", association.requestor.primitive)
        address = association.requestor.address
        rejection = self._admission.rejection(
            calling_ae_title=request.calling_ae_title, called_ae_title=request.called_ae_title, address=address
        )
        if rejection is not None:
            return rejection
        peer = self._peer(association)
        # One that borrows a title is told what a stranger is told.
        if peer is not None and not peer.may_show(_certificate(association)):
            return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
        if self._users is not None and not _is_admitted(association, self._users):
            return Rejection.USER_NOT_AUTHENTICATED
        if _proposes_storage(request) and not self._has_room(0):
            return Rejection.TEMPORARY_CONGESTION
        return self._welcomed(association, peer)

    def _welcomed(self, association: Association, peer: Peer | None) -> Rejection | None:
        if peer is None:
            return None
        if not self._guests.enter(peer, association):
            return Rejection.LOCAL_LIMIT_EXCEEDED
        _offer_only_what_it_may_use(association, peer)
        return None

    def may_send(self, association: Association) -> bool:
        """Whether another film may come from the peer of an association now; if so it counts."""
        peer = self._peer(association)
        return peer is None or self._paces.admits(peer)

    def _peer(self, association: Association) -> Peer | None:
        request = cast("A_ASSOCIATE", association.requestor.primitive)
        address = association.requestor.address
        return self._admission.peer(calling_ae_title=request.calling_ae_title, address=address)


def _certificate(association: Association) -> Digest | None:
    """Return the digest of the certificate that a peer has shown, if any."""
    wrapped = association.dul.socket
    connection = wrapped.socket if wrapped is not None else None
    shown = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
    return None if shown is None else digest_of(shown)


def _offer_only_what_it_may_use(association: Association, peer: Peer) -> None:
    """Leave out what the peer may not use: negotiation answers abstract syntax not supported (PS3.8 table 9-18)."""
    offered = association.acceptor.supported_contexts
    association.acceptor.supported_contexts = [
        context for context in offered if peer.may_use(str(context.abstract_syntax))
    ]


def shown_user(association: Association) -> str:
    """Return the user name of an association request as it was sent; empty where there is none."""
    identity = association.requestor.user_identity
    return "" if identity is None else (identity.primary_field or b"").decode("utf-8", "replace")[:64]


def _is_admitted(association: Association, users: Users) -> bool:
    identity = association.requestor.user_identity
    if identity is None:
        return False
    admitted = users.admit(
        user_identity_type=identity.user_identity_type,
        primary_field=identity.primary_field or b"",
        secondary_field=identity.secondary_field or b"",
    )
    if admitted and identity.positive_response_requested:
        # pynetdicom answers Kerberos, SAML and JWT only; a name's answer is empty (PS3.7 table D.3-15).
        answer = UserIdentityNegotiation()
        answer.server_response = b""
        association.acceptor.add_negotiation_item(answer)
    return admitted


def _proposes_storage(request: A_ASSOCIATE) -> bool:
    # Without room a C-ECHO is still answered: the node is there.
    proposed = {str(context.abstract_syntax) for context in request.presentation_context_definition_list}
    return not proposed.isdisjoint(STORAGE_SOP_CLASSES)
