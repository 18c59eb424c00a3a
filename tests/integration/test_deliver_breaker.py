"""Circuit breaker per destination, and the order of results of a study."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.deliver.circuit_breaker import CircuitBreakers
from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import DeliveryRejected, DestinationUnreachable
from cxr_node.deliver.peer import Peer
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle
from cxr_node.queries import overview
from cxr_node.queue import claiming
from cxr_node.simulators.clock import SimulatedClock
from cxr_node.simulators.pacs import SimulatedPacs
from tests.support import films, peers
from tests.support.node import QUIET_S, InProcessNode
from tests.support.queue import LEASE, NOON

pytestmark = pytest.mark.ci_on_postgresql

STUDIES = 5


def raising(error: Exception) -> Callable[[], None]:
    def before() -> None:
        raise error

    return before


def with_reports(database: Database, folder: Path, films_: int = STUDIES) -> InProcessNode:
    """Return a node with a report of each of several studies to deliver."""
    node = InProcessNode(database, folder)
    for seed in range(films_):
        node.accept(films.dx(seed=seed))
    while node.turn(Stage.READ):
        pass
    node.clock.advance(seconds=QUIET_S)
    while node.turn(Stage.COMPOSE):
        pass
    return node


def tries(node: InProcessNode) -> int:
    return sum(job.attempts for job in node.jobs(Stage.DELIVER))


def test_an_unreachable_destination_has_its_cause_until_it_is_reached(database: Database, tmp_path: Path) -> None:
    node = with_reports(database, tmp_path, films_=1)
    for cause in ("refused", "timed out"):
        node.pacs.before_send = raising(DestinationUnreachable(cause))
        assert node.turn(Stage.DELIVER)
        node.clock.advance(seconds=120)
    since, trouble = troubles(database)["pacs"]
    assert since is not None
    assert (node.clock.now - since).total_seconds() == 240
    assert trouble == "timed out"

    again = InProcessNode(database, tmp_path)  # another process, whose breaker is closed
    again.clock.now = node.clock.now
    while again.turn(Stage.DELIVER):
        pass

    assert troubles(database) == {"pacs": (None, "")}


def troubles(database: Database) -> dict[str, tuple[datetime | None, str]]:
    with database.read() as connection:
        return {row.destination: (row.unreachable_since, row.trouble) for row in overview.destinations(connection)}


def test_an_unreachable_destination_is_probed_by_one_delivery(database: Database, tmp_path: Path) -> None:
    node = with_reports(database, tmp_path)
    node.pacs.before_send = raising(DestinationUnreachable("away"))
    started = node.clock.now
    while (node.clock.now - started).total_seconds() < 600:
        while node.turn(Stage.DELIVER):
            pass
        seconds = node.seconds_to_next(Stage.DELIVER)
        assert seconds is not None
        assert 0 < seconds <= 60
        node.clock.advance(seconds=seconds)
    assert 8 <= tries(node) <= 16

    node.pacs.before_send = lambda: None
    node.clock.advance(seconds=60)
    while node.turn(Stage.DELIVER):
        pass
    assert len(node.pacs.received) == STUDIES
    assert {job.state for job in node.jobs(Stage.DELIVER)} == {State.DONE}


def test_a_transient_rejection_does_not_delay_other_objects(database: Database, tmp_path: Path) -> None:
    node = with_reports(database, tmp_path)
    answers = iter([RetryLater("out of resources")])

    def first_fails() -> None:
        for error in answers:
            raise error

    node.pacs.before_send = first_fails
    while node.turn(Stage.DELIVER):
        pass
    assert len(node.pacs.received) == STUDIES - 1


def test_only_a_failed_connection_is_unreachable() -> None:
    def destination(port: int) -> CStoreDestination:
        return CStoreDestination(
            name="pacs",
            peer=Peer(
                host=peers.LOOPBACK,
                port=port,
                called_ae_title=AeTitle("PACS"),
                calling_ae_title=AeTitle("CXRNODE"),
            ),
        )

    with pytest.raises(DestinationUnreachable):
        destination(peers.free_port()).echo()
    with SimulatedPacs(calling_ae_titles=["ANOTHER"]) as pacs, pytest.raises(DeliveryRejected):
        destination(pacs.port).echo()
    with peers.line(lambda _: None) as port, pytest.raises(DestinationUnreachable):
        destination(port).echo()


def test_one_probe_at_a_time_with_growing_intervals() -> None:
    clock = SimulatedClock(NOON)
    breakers = CircuitBreakers(clock)
    assert breakers.enter("pacs")
    assert breakers.enter("pacs")
    waits: list[float] = []
    for _ in range(6):
        breakers.failed("pacs")
        held, until = breakers.held()
        assert held == {"pacs"}
        assert isinstance(until, datetime)
        assert not breakers.enter("pacs")
        assert breakers.enter("folder")
        waits.append((until - clock.now).total_seconds())
        clock.now = until
        assert breakers.enter("pacs")
        assert not breakers.enter("pacs")
        assert breakers.held()[0] == {"pacs"}
    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    breakers.unsure("pacs")
    assert breakers.enter("pacs")
    assert breakers.succeeded("pacs")
    assert not breakers.succeeded("pacs")
    assert breakers.held() == (frozenset(), None)


def two_versions(database: Database, folder: Path) -> InProcessNode:
    """Return a node with two versions of one study's report, neither delivered."""
    node = with_reports(database, folder, 1)
    node.accept(films.cr())
    while node.turn(Stage.READ):
        pass
    node.clock.advance(seconds=QUIET_S)
    assert node.turn(Stage.COMPOSE)
    assert len(node.jobs(Stage.DELIVER)) == 2
    return node


def versions(node: InProcessNode) -> list[int]:
    return [len(report.get("PredecessorDocumentsSequence", ())) for report in node.pacs.reports()]


def test_a_newer_version_never_arrives_before_the_older(database: Database, tmp_path: Path) -> None:
    node = two_versions(database, tmp_path)
    node.pacs.before_send = raising(RetryLater("out of resources"))
    assert node.turn(Stage.DELIVER)
    assert not node.turn(Stage.DELIVER)
    assert [job.attempts for job in node.jobs(Stage.DELIVER)] == [1, 0]
    assert (node.seconds_to_next(Stage.DELIVER) or 0) > 0

    node.pacs.before_send = lambda: None
    node.clock.advance(seconds=60)
    while node.turn(Stage.DELIVER):
        pass
    assert versions(node) == [0, 1]


def test_a_newer_version_is_not_claimed_while_an_older_is_sent(database: Database, tmp_path: Path) -> None:
    node = two_versions(database, tmp_path)
    with database.write() as transaction:
        claims = claiming.claim(transaction, Stage.DELIVER, owner="a", lease=LEASE, now=node.clock.now, limit=5)
    with database.write() as transaction:
        further_claims = claiming.claim(transaction, Stage.DELIVER, owner="b", lease=LEASE, now=node.clock.now, limit=5)
    assert (len(claims), len(further_claims)) == (1, 0)


def test_a_failed_older_version_does_not_delay_the_newer(database: Database, tmp_path: Path) -> None:
    node = two_versions(database, tmp_path)
    node.pacs.before_send = raising(DeliveryRejected("no"))
    assert node.turn(Stage.DELIVER)
    node.pacs.before_send = lambda: None
    assert node.turn(Stage.DELIVER)
    assert [job.state for job in node.jobs(Stage.DELIVER)] == [State.FAILED, State.DONE]
    assert versions(node) == [1]
