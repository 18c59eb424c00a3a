"""How many commits work costs: each waits for the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage, State
from cxr_node.queue import queue
from cxr_node.work.batching import Batching
from tests.support import films
from tests.support.node import OWNER, InProcessNode


class Silence:
    """A bell that nobody rings; waiting for it means that there is no work."""

    def __init__(self) -> None:
        self.heard = False

    def wait(self, _timeout_s: float) -> None:
        """Note that there was nothing to do."""
        self.heard = True


@contextmanager
def counted(shop: InProcessNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count transactions that write."""
    real, count = shop.database.write, [0]

    @contextmanager
    def write() -> Iterator[Transaction]:
        count[0] += 1
        with real() as transaction:
            yield transaction

    with monkeypatch.context() as patched:
        patched.setattr(shop.database, "write", write)
        yield count


def run_dry(shop: InProcessNode, stage: Stage) -> None:
    """Let a worker run until there is nothing for it to do."""
    silence = Silence()
    shop._workers[stage].run(silence, tick_s=1.0, stopping=lambda: silence.heard)  # type: ignore[arg-type]  # as a bell


def studies(shop: InProcessNode, count: int) -> None:
    for seed in range(count):
        shop.accept(films.dx(seed=seed))


def test_a_job_is_recorded_in_the_transaction_that_claims_the_next(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = InProcessNode(database, tmp_path)
    studies(shop, 3)
    run_dry(shop, Stage.READ)
    shop.clock.go(seconds=10)
    run_dry(shop, Stage.COMPOSE)

    with counted(shop, monkeypatch) as count:
        run_dry(shop, Stage.DELIVER)

    assert count == [4]
    assert [job.state for job in shop.jobs(Stage.DELIVER)] == [State.DONE] * 3
    assert len(shop.pacs.arrived) == 3


def test_films_read_in_one_go_are_recorded_in_one_transaction(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = InProcessNode(database, tmp_path, together=Batching(size=3))
    studies(shop, 3)

    with counted(shop, monkeypatch) as count:
        assert shop.turn(Stage.READ)

    assert count == [2]
    assert [job.state for job in shop.jobs(Stage.READ)] == [State.DONE] * 3


def test_one_whose_lease_was_lost_does_not_keep_the_others_from_being_recorded(
    database: Database, tmp_path: Path
) -> None:
    def lose_one() -> None:
        if len(shop.pacs.arrived) == 1:
            with database.write() as transaction:
                queue.expire_leases(transaction, owner=OWNER, now=shop.clock.now)

    shop = InProcessNode(database, tmp_path)
    studies(shop, 3)
    run_dry(shop, Stage.READ)
    shop.clock.go(seconds=10)
    run_dry(shop, Stage.COMPOSE)
    shop.pacs.before = lose_one

    run_dry(shop, Stage.DELIVER)

    assert [job.state for job in shop.jobs(Stage.DELIVER)] == [State.DONE] * 3
    assert len(shop.pacs.arrived) == 4
