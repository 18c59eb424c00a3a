"""Associations held from one object to the next, with a peer that ends them, and by senders of the node."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom.association import Association

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import DeliveryRejected, DestinationUnreachable
from cxr_node.deliver.held_associations import HeldAssociations
from cxr_node.deliver.peer import Peer
from cxr_node.deliver.slots import PeerSlots
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle
from cxr_node.report.kinds import basic_text, tid1500
from cxr_node.simulators.pacs import SimulatedPacs, StoreRequest
from tests.support import films, peers
from tests.support.node import InProcessNode
from tests.support.peers import until

SUCCESS = 0x0000


class Log:
    """The associations that a PACS gets requests on; `before` is called with each request."""

    def __init__(self, before: Callable[[StoreRequest], None] = lambda _request: None) -> None:
        self.before = before
        self.associations: list[Association] = []

    def status(self, request: StoreRequest) -> int:
        """Note the association of a request, and return Success."""
        self.associations.append(request.association)
        self.before(request)
        return SUCCESS

    @property
    def numbers(self) -> list[int]:
        """The number of the association of each request, in order of their first."""
        order = list(dict.fromkeys(self.associations))
        return [order.index(one) for one in self.associations]

    def has_ended(self) -> bool:
        """Whether all associations have ended."""
        return not any(one.is_established for one in self.associations)


@contextmanager
def holding(pacs: SimulatedPacs, timeout_s: float = 30.0) -> Iterator[CStoreDestination]:
    """Return a destination that holds its association until the end of the block."""
    peer = Peer(
        host=peers.LOOPBACK,
        port=pacs.port,
        called_ae_title=pacs.ae_title,
        calling_ae_title=AeTitle("CXRNODE"),
        dimse_timeout_s=timeout_s,
    )
    associations = HeldAssociations()
    try:
        yield CStoreDestination(name="pacs", peer=peer, associations=associations)
    finally:
        associations.release()


@pytest.fixture
def film(tmp_path: Path) -> bytes:
    return films.written(films.dx(), tmp_path).read_bytes()


@pytest.fixture
def other(tmp_path: Path) -> bytes:
    return films.written(films.cr(), tmp_path).read_bytes()


def test_the_next_object_goes_on_the_association_of_the_last(film: bytes, other: bytes) -> None:
    log = Log()
    with SimulatedPacs(status=log.status) as pacs, holding(pacs) as destination:
        for content in (film, film, other, film, other):
            destination.send(content)

    assert log.numbers == [0, 0, 1, 1, 1]
    until(log.has_ended, what="the release of the last")


def test_an_association_that_the_peer_has_released_is_not_used_again(film: bytes) -> None:
    log = Log()
    with SimulatedPacs(status=log.status) as pacs, holding(pacs) as destination:
        destination.send(film)
        log.associations[0].release()
        destination.send(film)
    assert log.numbers == [0, 1]


def test_an_object_goes_on_a_new_association_where_a_held_one_is_aborted(film: bytes) -> None:
    def abort_at_the_second(request: StoreRequest) -> None:
        if request.times == 2:
            request.association.abort()

    log = Log(abort_at_the_second)
    with SimulatedPacs(status=log.status) as pacs, holding(pacs) as destination:
        destination.send(film)
        assert destination.send(film).status == SUCCESS
    assert log.numbers == [0, 0, 1]


def test_an_object_that_has_its_association_aborted_twice_is_at_fault(film: bytes) -> None:
    def abort_after_the_first(request: StoreRequest) -> None:
        if request.times > 1:
            request.association.abort()

    log = Log(abort_after_the_first)
    with SimulatedPacs(status=log.status) as pacs, holding(pacs) as destination:
        destination.send(film)
        with pytest.raises(RetryLater) as failed:
            destination.send(film)
    assert not isinstance(failed.value, DestinationUnreachable)
    assert log.numbers == [0, 0, 1]


def test_an_object_without_an_answer_is_not_sent_twice(film: bytes) -> None:
    def leave_the_second(request: StoreRequest) -> None:
        if request.times == 2:
            until(lambda: not request.association.is_established, what="the end of the association")

    log = Log(leave_the_second)
    with SimulatedPacs(status=log.status) as pacs, holding(pacs, timeout_s=0.2) as destination:
        destination.send(film)
        with pytest.raises(DestinationUnreachable, match=r"within 0\.2 s"):
            destination.send(film)
    assert log.numbers == [0, 0]


def test_a_class_that_is_not_accepted_beside_others_is_rejected(film: bytes, other: bytes) -> None:
    log = Log()
    accepted = ("1.2.840.10008.5.1.4.1.1.1.1",)
    with SimulatedPacs(sop_classes=accepted, status=log.status) as pacs, holding(pacs) as destination:
        destination.send(film)
        with pytest.raises(DeliveryRejected, match="does not accept this SOP Class"):
            destination.send(other)
        destination.send(film)
    assert log.numbers == [0, 1]


def test_a_held_association_counts_as_a_delivery_of_its_thread(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxr_node.work.handlers.deliver.PeerSlots", lambda: PeerSlots(1))
    associations = HeldAssociations()
    with SimulatedPacs() as pacs, holding(pacs) as destination:
        to_pacs = replace(destination, associations=associations)
        node = InProcessNode(database, tmp_path, pacs=to_pacs, associations=associations)
        node.accept(films.dx())
        for stage in (Stage.READ, Stage.COMPOSE, Stage.DELIVER):
            assert node.turn(stage)
            node.clock.advance(seconds=10)
        handler = node.workers[Stage.DELIVER]._handler
        with ThreadPoolExecutor(1) as other:
            assert other.submit(handler.excluded).result().destinations == {"pacs"}
            assert handler.excluded().destinations == frozenset()
            handler.before_wait()
            assert other.submit(handler.excluded).result().destinations == frozenset()


def test_the_node_holds_an_association_while_it_has_results_for_it(database: Database, tmp_path: Path) -> None:
    log, associations = Log(), HeldAssociations()
    kinds = (tid1500.REPORT, basic_text.TEXT)
    with SimulatedPacs(status=log.status) as pacs:
        peer = Peer(
            host=peers.LOOPBACK, port=pacs.port, called_ae_title=pacs.ae_title, calling_ae_title=AeTitle("CXRNODE")
        )
        to_pacs = CStoreDestination(name="pacs", peer=peer, associations=associations)
        node = InProcessNode(database, tmp_path, kinds=kinds, pacs=to_pacs, associations=associations)
        for seed in range(3):
            node.accept(films.dx(seed=seed))
        for stage in (Stage.READ, Stage.COMPOSE):
            while node.turn(stage):
                pass
            node.clock.advance(seconds=10)
        while node.turn(Stage.DELIVER):
            pass

        until(log.has_ended, what="the release of the association")
    assert len(log.associations) == 3 * len(kinds)
    assert max(log.numbers) < len(kinds)
    assert not associations.is_holding
