"""Worklists of a node under test at a simulated manager."""

from datetime import datetime

from cxr_node.db.database import Database
from cxr_node.deliver.peer import Peer
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.procedure_step import ClaimState, Worklist
from cxr_node.records import procedure_steps
from cxr_node.simulators.web_worklist import SimulatedWebWorklist
from cxr_node.simulators.worklist import AE_TITLE, SimulatedWorklist
from cxr_node.simulators.worklist_steps import WORKITEM, step_uid
from cxr_node.ups.manager import WorklistManager
from cxr_node.ups.web_server import DicomWebWorklist
from cxr_node.ups.worklist import WorklistContext
from tests.support.peers import LOOPBACK

MANAGERS = {"dimse": SimulatedWorklist, "rs": SimulatedWebWorklist}
"""Simulated managers by transport."""
Manager = SimulatedWorklist | SimulatedWebWorklist


def worklist_at(port: int, calling_ae_title: str = "CXRNODE", **options: object) -> WorklistManager:
    """Return the worklist of the manager at a port, by DIMSE."""
    title = AeTitle(calling_ae_title)
    peer = Peer(host=LOOPBACK, port=port, called_ae_title=AeTitle(AE_TITLE), calling_ae_title=title)
    return WorklistManager(name="ris", peer=peer, **{"workitem": WORKITEM, **options})  # type: ignore[arg-type]


def web_worklist_at(url: str, calling_ae_title: str = "CXRNODE", **settings: object) -> Worklist:
    """Return the worklist of the manager at a URL."""
    workitem = f"{WORKITEM.value}^{WORKITEM.scheme_designator}^{WORKITEM.meaning}"
    row = DicomWebWorklist.model_validate({"name": "ris", "url": url, "workitem": workitem, **settings})
    return row.open(WorklistContext(calling_ae_title=AeTitle(calling_ae_title)))


def worklist_of(manager: Manager, calling_ae_title: str = "CXRNODE") -> Worklist:
    """Return the worklist of a simulated manager."""
    if isinstance(manager, SimulatedWebWorklist):
        return web_worklist_at(manager.url, calling_ae_title)
    return worklist_at(manager.port, calling_ae_title)


def record_step(database: Database, *, now: datetime) -> None:
    """Record a claimed procedure step of the worklist `ris`, whose study is not there."""
    with database.write() as transaction:
        step = procedure_steps.request(
            transaction, "ris", step_uid(1), transaction_uid=Uid("1.2.3"), not_after=now, now=now
        )
        assert step is not None
        procedure_steps.change(transaction, step, ClaimState.IN_PROGRESS, now=now)
