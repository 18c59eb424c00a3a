"""The peer of an association, as rows and logs name it."""

import secrets
from datetime import UTC, datetime
from typing import cast

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from cxr_node.domain.identifiers import parse_ae_title
from cxr_node.domain.instance import Sender
from cxr_node.receive.upper_layer.messages import BoundedMessages


def association_name(at: datetime) -> str:
    """Return what an association that opens at that time is called in rows and logs: no other is called so."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"


def sender_of(association: Association) -> Sender:
    """Return who has opened an association that was accepted."""
    request = cast("A_ASSOCIATE", association.requestor.primitive)
    return Sender(
        calling_ae_title=parse_ae_title(request.calling_ae_title),
        called_ae_title=parse_ae_title(request.called_ae_title),
        address=association.requestor.address,
        association=association.dimse.name if isinstance(association.dimse, BoundedMessages) else "",
    )
