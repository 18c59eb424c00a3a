"""Places for connections: which one is closed where another needs a place."""

from collections import Counter
from collections.abc import Sequence

from cxr_node.receive.upper_layer.association import AcceptorAssociation


def closable(connections: Sequence[AcceptorAssociation]) -> AcceptorAssociation | None:
    """Return the connection that is closed for another; None if each has an association, or a request being examined.

    The oldest whose association has ended or was rejected, which is about to end anyway. Without such, of those without
    a request the oldest of the address that has most of them.
    """
    ended = [connection for connection in connections if connection.has_ended]
    if ended:
        return min(ended, key=_opened_at)
    silent = [connection for connection in connections if connection.requestor.primitive is None]
    if not silent:
        return None
    ((address, _),) = Counter(connection.requestor.address for connection in silent).most_common(1)
    return min((connection for connection in silent if connection.requestor.address == address), key=_opened_at)


def _opened_at(connection: AcceptorAssociation) -> float:
    return connection.opened_at
