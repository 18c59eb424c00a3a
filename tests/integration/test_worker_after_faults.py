"""What the fault suite found, each by itself: a database away when a job has ended, a clock that goes back."""

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
from cxr_node.queue import queue
from cxr_node.queue.search import JobRow
from cxr_node.settings.root import Settings
from cxr_node.wiring import roles
from cxr_node.work.periodic.clock_jump_guard import ClockJumpGuard
from tests.support import films
from tests.support.node import InProcessNode, StoppedClock
from tests.support.queue import LEASE

DUE_WITHIN = timedelta(hours=2)


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path)


def job(shop: InProcessNode, stage: Stage) -> JobRow:
    (found,) = shop.jobs(stage)
    return found


def test_what_ended_while_the_database_was_away_is_recorded_when_it_is_back(
    shop: InProcessNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.accept(films.dx())
    real, calls = shop.database.write, iter((True, False))

    @contextmanager
    def write() -> Iterator[Transaction]:
        with real() as transaction:
            yield transaction
            if not next(calls):
                raise DatabaseUnavailable("database away: by the test")

    monkeypatch.setattr(shop.database, "write", write)
    with pytest.raises(RetryLater):
        shop.turn(Stage.READ)
    monkeypatch.undo()
    assert job(shop, Stage.READ).state is State.RUNNING
    assert shop.seconds_to_next(Stage.READ) == 0.0

    shop.turn(Stage.READ)

    read = job(shop, Stage.READ)
    assert (read.state, read.attempts, shop.reader.times) == (State.DONE, 1, 1)


def test_a_job_due_later_than_any_can_be_is_due_now_and_others_stay(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.turn(Stage.READ)
    assert not shop.turn(Stage.COMPOSE)  # after the calm

    assert mended(shop) == 0
    shop.clock.go(days=-1)
    assert mended(shop) == 1

    assert shop.turn(Stage.COMPOSE)
    assert job(shop, Stage.COMPOSE).state is State.DONE


def test_a_lease_longer_than_any_can_be_is_lost_without_a_death(shop: InProcessNode, database: Database) -> None:
    shop.accept(films.dx())
    with database.write() as transaction:
        (claim,) = queue.claim(transaction, Stage.READ, owner="elsewhere/read/1", lease=LEASE, now=shop.clock())
    shop.clock.go(hours=-1)

    assert mended(shop) == 1

    assert shop.turn(Stage.READ)
    assert (claim.crashes, job(shop, Stage.READ).attempts) == (0, 2)


def test_the_tick_of_a_role_puts_dates_right(shop: InProcessNode, database: Database) -> None:
    shop.clock.go(days=365 * 4000)
    shop.accept(films.dx())
    shop.turn(Stage.READ)

    roles.tick(Settings(), database)

    assert job(shop, Stage.COMPOSE).due_at < shop.clock()


def test_a_film_delivered_after_the_clock_went_back_is_delivered_and_one_still_to_be_read_is_not(
    shop: InProcessNode, database: Database
) -> None:
    shop.accept(films.dx(seed=1))
    shop.turn(Stage.READ)
    shop.clock.go(days=-2)
    mended(shop)
    shop.work()
    assert fates(database) == [Fate.DELIVERED]

    second = films.dx(seed=2, changes={"StudyInstanceUID": films.dx(seed=1).StudyInstanceUID})
    shop.clock.go(days=-2)
    shop.accept(second)

    assert fates(database)[-1] is Fate.ON_THE_WAY


def fates(database: Database) -> list[Fate]:
    with database.read() as connection:
        return [entry.fate for entry in ledger.entries(connection)]


def test_a_destination_that_was_away_for_days_is_found_to_be_back_within_a_minute(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.turn(Stage.READ)
    shop.clock.go(seconds=2)
    shop.turn(Stage.COMPOSE)
    shop.pacs.before = away
    for _ in range(15):
        shop.turn(Stage.DELIVER)
        wait_s = shop.seconds_to_next(Stage.DELIVER)
        assert wait_s is not None
        assert wait_s <= 60.0
        shop.clock.go(seconds=wait_s)

    shop.pacs.before = present
    assert shop.turn(Stage.DELIVER)
    assert job(shop, Stage.DELIVER).state is State.DONE


def away() -> None:
    raise DestinationUnreachable("no association with the PACS")


def present() -> None:
    return


def test_nothing_is_removed_while_the_clock_has_leapt(caplog: pytest.LogCaptureFixture) -> None:
    clock, counted, removed = StoppedClock(), [0.0], []
    guard = ClockJumpGuard(clock, counter=lambda: counted[0])

    def pass_and_remove(*, by_the_clock_s: float, really_s: float) -> None:
        clock.go(seconds=by_the_clock_s)
        counted[0] += really_s
        guard.run(lambda: removed.append(clock()))

    pass_and_remove(by_the_clock_s=86400, really_s=86390)
    pass_and_remove(by_the_clock_s=400 * 86400, really_s=600)
    pass_and_remove(by_the_clock_s=600, really_s=600)
    assert len(removed) == 1
    assert "the clock jumped" in caplog.text
    pass_and_remove(by_the_clock_s=-400 * 86400, really_s=600)
    assert len(removed) == 2


def mended(shop: InProcessNode) -> int:
    with shop.database.write() as transaction:
        return queue.clamp_future_dates(transaction, now=shop.clock(), due_within=DUE_WITHIN, leased_within=2 * LEASE)
