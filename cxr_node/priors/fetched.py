"""Instance of a fetched data set."""

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance, Sender
from cxr_node.receive.identify import identify_with_values
from cxr_node.receive.part10 import instance_of


def fetched_instance(data_set: bytes | memoryview, transfer_syntax_uid: Uid, sender: Sender) -> Instance:
    """Return the instance of a data set as it was sent; raise RejectObject if it is none."""
    view = memoryview(data_set)
    identity, header_values = identify_with_values(view, transfer_syntax_uid=transfer_syntax_uid)
    return instance_of(
        identity, view, transfer_syntax_uid=transfer_syntax_uid, sender=sender, header_values=header_values
    )
