"""Regressions found by the fault suite: database unavailable at completion, clock set back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from cxr_node.db.database import Database, DatabaseUnavailable, Transaction
from cxr_node.db.states import Stage, State
from cxr_node.deliver.destination import DestinationUnreachable
from cxr_node.domain.errors import RetryLater
from cxr_node.queries import ledger
from cxr_node.queries.ledger import Fate
from cxr_node.queue import claiming, queue
from cxr_node.queue.search import JobRow
from cxr_node.settings.root import Settings
from cxr_node.simulators.clock import SimulatedClock
from cxr_node.wiring import maintenance
from cxr_node.wiring.process import Process
from cxr_node.work.periodic.clock_jump_guard import ClockJumpGuard
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.queue import LEASE, NOON

pytestmark = pytest.mark.ci_on_postgresql

DUE_WITHIN = timedelta(hours=2)


@pytest.fixture
def node(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path)


def job(node: InProcessNode, stage: Stage) -> JobRow:
    (row,) = node.jobs(stage)
    return row


def test_completions_are_recorded_once_the_database_is_available_again(
    node: InProcessNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.accept(films.dx())
    real, calls = node.database.write, iter((True, False))

    @contextmanager
    def write() -> Iterator[Transaction]:
        with real() as transaction:
            yield transaction
            if not next(calls):
                raise DatabaseUnavailable("database away: by the test")

    monkeypatch.setattr(node.database, "write", write)
    with pytest.raises(RetryLater):
        node.turn(Stage.READ)
    monkeypatch.undo()
    assert job(node, Stage.READ).state is State.RUNNING
    assert node.seconds_to_next(Stage.READ) == 0.0

    node.turn(Stage.READ)

    read = job(node, Stage.READ)
    assert (read.state, read.attempts, node.reader.calls) == (State.DONE, 1, 1)


def test_a_job_due_impossibly_late_is_due_now_and_others_stay(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.turn(Stage.READ)
    assert not node.turn(Stage.COMPOSE)  # within the study window

    assert clamp_dates(node) == 0
    node.clock.advance(days=-1)
    assert clamp_dates(node) == 1

    assert node.turn(Stage.COMPOSE)
    assert job(node, Stage.COMPOSE).state is State.DONE


def test_an_impossibly_long_lease_expires_without_counting_as_a_crash(node: InProcessNode, database: Database) -> None:
    node.accept(films.dx())
    with database.write() as transaction:
        (claim,) = claiming.claim(transaction, Stage.READ, owner="elsewhere/read/1", lease=LEASE, now=node.clock())
    node.clock.advance(hours=-1)

    assert clamp_dates(node) == 1

    assert node.turn(Stage.READ)
    assert (claim.crashes, job(node, Stage.READ).attempts) == (0, 2)


def test_the_tick_of_a_role_clamps_future_dates(node: InProcessNode, database: Database) -> None:
    node.clock.advance(days=365 * 4000)
    node.accept(films.dx())
    node.turn(Stage.READ)

    with Process.open(Settings(), make_database=lambda _: database) as process:
        maintenance.tick(process)

    assert job(node, Stage.COMPOSE).due_at < node.clock()


def test_the_ledger_is_right_after_the_clock_was_set_back(node: InProcessNode, database: Database) -> None:
    """A film delivered afterwards is delivered; one of the same study still to be read is on the way."""
    node.accept(films.dx(seed=1))
    node.turn(Stage.READ)
    node.clock.advance(days=-2)
    clamp_dates(node)
    node.work()
    assert fates(database) == [Fate.DELIVERED]

    second = films.dx(seed=2, changes={"StudyInstanceUID": films.dx(seed=1).StudyInstanceUID})
    node.clock.advance(days=-2)
    node.accept(second)

    assert fates(database)[-1] is Fate.IN_PROGRESS


def fates(database: Database) -> list[Fate]:
    with database.read() as connection:
        return [entry.fate for entry in ledger.entries(connection)]


def test_an_unreachable_destination_is_probed_within_a_minute(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.turn(Stage.READ)
    node.clock.advance(seconds=2)
    node.turn(Stage.COMPOSE)
    node.pacs.before_send = unreachable
    for _ in range(15):
        node.turn(Stage.DELIVER)
        wait_s = node.seconds_to_next(Stage.DELIVER)
        assert wait_s is not None
        assert wait_s <= 60.0
        node.clock.advance(seconds=wait_s)

    node.pacs.before_send = reachable
    assert node.turn(Stage.DELIVER)
    assert job(node, Stage.DELIVER).state is State.DONE


def unreachable() -> None:
    raise DestinationUnreachable("no association with the PACS")


def reachable() -> None:
    return


def test_nothing_is_removed_after_a_clock_jump(caplog: pytest.LogCaptureFixture) -> None:
    clock, counted, removed = SimulatedClock(NOON), [0.0], []
    guard = ClockJumpGuard(clock, counter=lambda: counted[0])

    def pass_and_remove(*, by_the_clock_s: float, really_s: float) -> None:
        clock.advance(seconds=by_the_clock_s)
        counted[0] += really_s
        guard.run(lambda: removed.append(clock()))

    pass_and_remove(by_the_clock_s=86400, really_s=86390)
    pass_and_remove(by_the_clock_s=400 * 86400, really_s=600)
    pass_and_remove(by_the_clock_s=600, really_s=600)
    assert len(removed) == 1
    assert "the clock jumped" in caplog.text
    pass_and_remove(by_the_clock_s=-400 * 86400, really_s=600)
    assert len(removed) == 2


def clamp_dates(node: InProcessNode) -> int:
    with node.database.write() as transaction:
        return queue.clamp_future_dates(transaction, now=node.clock(), due_within=DUE_WITHIN, leased_within=2 * LEASE)
