"""Worklists of a node under test at a simulated manager."""

from cxr_node.deliver.peer import Peer
from cxr_node.domain.identifiers import AeTitle
from cxr_node.simulators.worklist import AE_TITLE, WORKITEM
from cxr_node.ups.manager import WorklistManager
from tests.support.peers import LOOPBACK


def worklist_at(port: int, calling_ae_title: str = "CXRNODE", **options: object) -> WorklistManager:
    """Return the worklist of the manager at a port."""
    title = AeTitle(calling_ae_title)
    peer = Peer(host=LOOPBACK, port=port, called_ae_title=AeTitle(AE_TITLE), calling_ae_title=title)
    return WorklistManager(name="ris", peer=peer, **{"workitem": WORKITEM, **options})  # type: ignore[arg-type]
