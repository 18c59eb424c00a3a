"""Connections without an association: each has one event, and one log line that names address and reason."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import cast

from pynetdicom.pdu_primitives import A_ASSOCIATE

from cxr_node.receive.admission import requested_user
from cxr_node.receive.events import (
    AssociationAccepted,
    AssociationRejected,
    ConnectionFailed,
    ConnectionFailure,
    ReceiveEvent,
    TlsFailed,
)
from cxr_node.receive.limited_log import LimitedLog
from cxr_node.receive.rejection import Rejection
from cxr_node.receive.upper_layer.association import AcceptorAssociation

_log = logging.getLogger(__name__)


class ConnectionReporter:
    """Reports how each connection ends or becomes an association. Thread-safe.

    Above ten lines a minute for an address and reason further ones are counted. Every event goes to `on_event`.
    """

    def __init__(self, *, on_event: Callable[[ReceiveEvent], None], clock: Callable[[], datetime]) -> None:
        self._on_event = on_event
        self._log = LimitedLog(_log, clock=clock)

    def accepted(self, association: AcceptorAssociation, *, user: str) -> None:
        """Report an accepted association."""
        association.is_reported = True
        self._on_event(
            AssociationAccepted(
                calling_ae_title=_request(association).calling_ae_title,
                address=association.requestor.address,
                user=user,
            )
        )

    def rejected(self, association: AcceptorAssociation, rejection: Rejection) -> None:
        """Report a rejected association."""
        association.is_reported = True
        address = association.requestor.address
        title = _request(association).calling_ae_title
        self._log.warn((address, rejection.name), f"association from {address} rejected: {rejection.name}")
        user = requested_user(association)
        self._on_event(AssociationRejected(calling_ae_title=title, address=address, user=user, rejection=rejection))

    def tls_failed(self, event: TlsFailed) -> None:
        """Report a failed TLS handshake."""
        self._log.warn((event.address, event.reason), f"TLS handshake with {event.address} failed: {event.reason}")
        self._on_event(event)

    def refused(self, address: str, failure: ConnectionFailure, detail: str) -> None:
        """Report a connection that was closed before anything was read from it."""
        self._log.warn((address, failure.name), f"connection from {address} closed: {detail}")
        self._on_event(ConnectionFailed(address=address, failure=failure, detail=detail))

    def aborted(self, association: AcceptorAssociation, reason: str) -> None:
        """Report that the node aborts an association."""
        address = association.requestor.address
        self._log.warn((address, reason), f"association with {address} aborted: {reason}")

    def ended(self, association: AcceptorAssociation) -> None:
        """Report the end of a connection, unless its association was accepted or rejected."""
        if association.is_reported:
            return
        association.is_reported = True
        address, failure, detail = association.requestor.address, association.failure, association.failure_detail
        if failure is None:
            failure = ConnectionFailure.NO_REQUEST_IN_TIME
            detail = f"no whole association request within {association.acse_timeout or 0:g} s"
        self._log.warn((address, failure.name), f"connection from {address} ended without an association: {detail}")
        self._on_event(ConnectionFailed(address=address, failure=failure, detail=detail))

    def close(self) -> None:
        """Log the counts of suppressed lines."""
        self._log.close()


def _request(association: AcceptorAssociation) -> A_ASSOCIATE:
    return cast("A_ASSOCIATE", association.requestor.primitive)
