"""Commits per job: each commit waits for the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage, State
from cxr_node.queue import queue
from cxr_node.work.handler import Batching
from tests.support import films
from tests.support.node import OWNER, InProcessNode


class IdleListener:
    """A listener without notifications; the first wait means that no job is due."""

    def __init__(self) -> None:
        self.is_idle = False

    def wait(self, _timeout_s: float) -> None:
        """Note that no job is due."""
        self.is_idle = True


@contextmanager
def counted(node: InProcessNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count transactions that write."""
    real, count = node.database.write, [0]

    @contextmanager
    def write() -> Iterator[Transaction]:
        count[0] += 1
        with real() as transaction:
            yield transaction

    with monkeypatch.context() as patched:
        patched.setattr(node.database, "write", write)
        yield count


def run_until_idle(node: InProcessNode, stage: Stage) -> None:
    """Run a worker until no job is due."""
    listener = IdleListener()
    node.workers[stage].run(listener, tick_s=1.0, stopping=lambda: listener.is_idle)  # type: ignore[arg-type]  # double


def studies(node: InProcessNode, count: int) -> None:
    for seed in range(count):
        node.accept(films.dx(seed=seed))


def test_a_job_is_recorded_in_the_transaction_that_claims_the_next(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = InProcessNode(database, tmp_path)
    studies(node, 3)
    run_until_idle(node, Stage.READ)
    node.clock.advance(seconds=10)
    run_until_idle(node, Stage.COMPOSE)

    with counted(node, monkeypatch) as count:
        run_until_idle(node, Stage.DELIVER)

    assert count == [4]
    assert [job.state for job in node.jobs(Stage.DELIVER)] == [State.DONE] * 3
    assert len(node.pacs.received) == 3


def test_films_of_one_batch_are_recorded_in_one_transaction(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = InProcessNode(database, tmp_path, batching=Batching(size=3))
    studies(node, 3)

    with counted(node, monkeypatch) as count:
        assert node.turn(Stage.READ)

    assert count == [2]
    assert [job.state for job in node.jobs(Stage.READ)] == [State.DONE] * 3


def test_an_expired_lease_does_not_keep_other_completions_unrecorded(database: Database, tmp_path: Path) -> None:
    def lose_one() -> None:
        if len(node.pacs.received) == 1:
            with database.write() as transaction:
                queue.expire_leases(transaction, owner=OWNER, now=node.clock.now)

    node = InProcessNode(database, tmp_path)
    studies(node, 3)
    run_until_idle(node, Stage.READ)
    node.clock.advance(seconds=10)
    run_until_idle(node, Stage.COMPOSE)
    node.pacs.before_send = lose_one

    run_until_idle(node, Stage.DELIVER)

    assert [job.state for job in node.jobs(Stage.DELIVER)] == [State.DONE] * 3
    assert len(node.pacs.received) == 4
