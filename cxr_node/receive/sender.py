"""The peer of an association, as rows and logs name it."""

from typing import cast

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from cxr_node.domain.identifiers import parse_ae_title
from cxr_node.domain.instance import Sender


def sender_of(association: Association) -> Sender:
    """Return who has opened an association that was accepted."""
    request = cast("A_ASSOCIATE", association.requestor.primitive)
    return Sender(
        calling_ae_title=parse_ae_title(request.calling_ae_title),
        called_ae_title=parse_ae_title(request.called_ae_title),
        address=association.requestor.address,
    )
