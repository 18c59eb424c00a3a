"""Group commit: concurrent writes share a transaction, and each call returns after its own commit."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import IntegrityError

from cxr_node.db.database import Database, Transaction
from cxr_node.db.tables import film, study
from cxr_node.domain.errors import RetryLater
from cxr_node.records import ingest
from tests.support import films
from tests.support.node import received
from tests.support.queue import NOON, SENDER

WRITERS = 12


def count_commits(database: Database) -> list[int]:
    commits: list[int] = []
    event.listen(database.engine, "commit", lambda _connection: commits.append(1))
    return commits


class Blocker:
    """Blocks the first write until a number of others wait."""

    def __init__(self, database: Database, others: int) -> None:
        self._database, self._others = database, others

    def __call__(self, _transaction: Transaction, items: list[None]) -> list[None]:
        """Wait for the others."""
        pause = threading.Event()
        while len(self._database._group_commit._waiting) < self._others:
            assert not pause.wait(0.01)
        return items


def remember(database: Database, number: int) -> bool:
    instance = received(films.dx(rows=8, columns=8, seed=number))
    return ingest.store(database, instance, SENDER, archive_key=f"films/00/{number}.dcm", now=NOON)


def test_single_writes_are_committed_alone(database: Database) -> None:
    commits = count_commits(database)
    for number in range(3):
        assert remember(database, number)
    assert len(commits) == 3


def test_writes_during_a_commit_share_the_next_one(database: Database) -> None:
    commits = count_commits(database)
    with ThreadPoolExecutor(WRITERS + 1) as pool:
        first = pool.submit(database.write_grouped, Blocker(database, WRITERS), None)
        others = [pool.submit(remember, database, number) for number in range(WRITERS)]
        first.result()
        assert [other.result() for other in others] == [True] * WRITERS
    assert len(commits) == 2
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(film)) == WRITERS


def test_the_same_film_from_many_threads_is_one(database: Database) -> None:
    with ThreadPoolExecutor(WRITERS + 1) as pool:
        first = pool.submit(database.write_grouped, Blocker(database, WRITERS), None)
        others = [pool.submit(remember, database, 1) for _ in range(WRITERS)]
        first.result()
        assert sorted(other.result() for other in others) == [False] * (WRITERS - 1) + [True]


def test_a_failing_write_does_not_undo_the_others(database: Database) -> None:
    def clash(transaction: Transaction, items: list[None]) -> list[None]:
        for _ in range(2):
            transaction.connection.execute(study.insert().values(study_instance_uid="1.2.3", first_received_at=NOON))
        return items

    with ThreadPoolExecutor(WRITERS + 2) as pool:
        first = pool.submit(database.write_grouped, Blocker(database, WRITERS + 1), None)
        others = [pool.submit(remember, database, number) for number in range(WRITERS)]
        clashing = pool.submit(database.write_grouped, clash, None)
        first.result()
        assert [other.result() for other in others] == [True] * WRITERS
        with pytest.raises(IntegrityError):
            clashing.result()
    with database.read() as connection:
        uids = connection.scalars(select(study.c.study_instance_uid)).all()
    assert len(uids) == WRITERS
    assert "1.2.3" not in uids


def test_an_unavailable_database_is_tried_once_for_a_batch() -> None:
    database = Database("sqlite://", busy_timeout_s=0.1)
    attempts: list[int] = []

    def unavailable(_transaction: Transaction, _items: list[None]) -> list[None]:
        attempts.append(1)
        raise RetryLater("unavailable")

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(database.write_grouped, Blocker(database, 3), None)
        others = [pool.submit(database.write_grouped, unavailable, None) for _ in range(3)]
        first.result()
        for other in others:
            with pytest.raises(RetryLater):
                other.result()
    assert len(attempts) == 1
    assert database.write_grouped(lambda _transaction, items: [7 for _ in items], None) == 7
    database.close()
