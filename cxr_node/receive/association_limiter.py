"""How many associations each peer has open."""

import threading

from pynetdicom.association import Association

from cxr_node.receive.admission import Peer


class AssociationLimiter:
    """The open associations of peers that may have only so many at once. Asked by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[Peer, list[Association]] = {}

    def enter(self, peer: Peer, association: Association) -> bool:
        """Whether `peer` may have this association too; if so it counts until it ends."""
        if not peer.maximum_associations:
            return True
        with self._lock:
            present = [each for each in self._of.get(peer, ()) if _is_open(each)]
            admitted = len(present) < peer.maximum_associations
            self._of[peer] = [*present, association] if admitted else present
        return admitted


def _is_open(association: Association) -> bool:
    # The thread of an association that was released lives a moment longer than it.
    return association.is_alive() and not association.is_released and not association.is_aborted
