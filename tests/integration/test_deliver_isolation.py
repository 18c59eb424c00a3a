"""A destination that takes associations and never answers: the others are served meanwhile."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.db.tables import delivery, job
from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import DestinationUnreachable
from cxr_node.deliver.peer import Peer
from cxr_node.deliver.slots import PER_PEER, PeerSlots
from cxr_node.domain.clock import utc_now
from cxr_node.domain.identifiers import AeTitle
from cxr_node.queue import queue
from cxr_node.simulators.pacs import SimulatedPacs, StoreRequest
from cxr_node.wiring import roles
from cxr_node.wiring.process import Process
from tests.support import films, peers
from tests.support.node import FakeDestination, InProcessNode
from tests.support.peers import until
from tests.support.running_node import opened, settings_file

STUDIES = 6


@pytest.fixture
def node(tmp_path: Path) -> Iterator[InProcessNode]:
    """A node with results of several studies for each of two destinations."""
    destinations = tuple({"kind": "folder", "name": name, "folder": "unused"} for name in ("pacs", "other"))
    settings = load(settings_file(tmp_path / "node", destinations=destinations))
    settings.node.data_folder.mkdir(parents=True)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        for seed in range(STUDIES):
            node.accept(films.dx(seed=seed))
        while node.turn(Stage.READ):
            pass
        node.clock.now = utc_now()
        while node.turn(Stage.COMPOSE):
            pass
        add_destination(database, "other")
        yield node


def add_destination(database: Database, name: str) -> None:
    """Add a delivery to another destination for each delivery that there is."""
    now = utc_now()
    with database.write() as transaction:
        rows = transaction.connection.execute(
            select(delivery.c.result_id, job.c.study_id).join(job, job.c.delivery_id == delivery.c.id)
        ).all()
        for result_id, study_id in rows:
            delivery_id = transaction.connection.execute(
                insert(delivery).values(result_id=result_id, destination=name, created_at=now).returning(delivery.c.id)
            ).scalar_one()
            queue.add(transaction, Stage.DELIVER, delivery_id, of_study=study_id, due_at=now, now=now)


def test_a_destination_that_never_answers_leaves_senders_to_others(node: InProcessNode, tmp_path: Path) -> None:
    released, stopping = threading.Event(), threading.Event()

    def wait() -> None:
        released.wait(60)

    hung = FakeDestination("pacs", before_send=wait)
    other = FakeDestination("other")
    settings = load(tmp_path / "node" / "cxr-node.toml")
    with (
        Process.open(settings) as process,
        roles.deliver(process, stopping=stopping, destinations={"pacs": hung, "other": other}),
    ):
        try:
            until(lambda: len(other.received) == STUDIES, what="all results at the other destination", timeout_s=20)
            assert hung.received == []
        finally:
            released.set()
        until(lambda: len(hung.received) == STUDIES, what="all results at the first", timeout_s=20)


def test_a_pacs_that_does_not_answer_in_time_is_unreachable() -> None:
    released = threading.Event()

    def hang(_request: StoreRequest) -> int:
        released.wait(60)
        return 0

    with SimulatedPacs(status=hang) as pacs:
        destination = CStoreDestination(
            name="pacs",
            peer=Peer(
                host=peers.LOOPBACK,
                port=pacs.port,
                called_ae_title=AeTitle("PACS"),
                calling_ae_title=AeTitle("CXRNODE"),
                dimse_timeout_s=0.2,
            ),
        )
        with pytest.raises(DestinationUnreachable, match=r"did not answer C-STORE within 0\.2 s"):
            destination.send(film())
        released.set()


def film() -> bytes:
    from tests.support.node import received

    return bytes(received(films.dx()).content)


def test_slots_bound_the_associations_of_each_peer() -> None:
    slots = PeerSlots()
    assert [slots.enter("a") for _ in range(PER_PEER + 1)] == [True] * PER_PEER + [False]
    assert slots.enter("b")
    assert slots.full() == {"a"}
    slots.leave("a")
    assert slots.full() == frozenset()
    assert slots.enter("a")
