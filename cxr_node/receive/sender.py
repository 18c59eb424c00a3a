"""Sender of an association, as rows and logs identify it."""

import secrets
from datetime import UTC, datetime
from typing import cast

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from cxr_node.domain.identifiers import parse_ae_title
from cxr_node.domain.instance import Sender
from cxr_node.receive.upper_layer.bounded_dimse import BoundedDimse


def association_name(opened_at: datetime) -> str:
    """Return a unique name for an association in rows and logs."""
    return f"{opened_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"


def sender_of(association: Association) -> Sender:
    """Return the sender of an accepted association."""
    request = cast("A_ASSOCIATE", association.requestor.primitive)
    return Sender(
        calling_ae_title=parse_ae_title(request.calling_ae_title),
        called_ae_title=parse_ae_title(request.called_ae_title),
        address=association.requestor.address,
        association=association.dimse.name if isinstance(association.dimse, BoundedDimse) else "",
    )
