"""Films that come together are committed together, and each is told of its own commit."""

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

TOGETHER = 12


def count_commits(database: Database) -> list[int]:
    commits: list[int] = []
    event.listen(database.engine, "commit", lambda _connection: commits.append(1))
    return commits


class Held:
    """Holds the first that writes until so many others wait."""

    def __init__(self, database: Database, others: int) -> None:
        self._database, self._others = database, others

    def __call__(self, _transaction: Transaction, whats: list[None]) -> list[None]:
        """Wait for them."""
        pause = threading.Event()
        while len(self._database._group_commit._waiting) < self._others:
            assert not pause.wait(0.01)
        return whats


def remember(database: Database, number: int) -> bool:
    instance = received(films.dx(rows=8, columns=8, seed=number))
    return ingest.store(database, instance, SENDER, archive_key=f"films/00/{number}.dcm", now=NOON)


def test_who_comes_alone_is_committed_alone(database: Database) -> None:
    commits = count_commits(database)
    for number in range(3):
        assert remember(database, number)
    assert len(commits) == 3


def test_films_that_come_while_one_is_written_share_the_next_commit(database: Database) -> None:
    commits = count_commits(database)
    with ThreadPoolExecutor(TOGETHER + 1) as pool:
        first = pool.submit(database.write_grouped, Held(database, TOGETHER), None)
        others = [pool.submit(remember, database, number) for number in range(TOGETHER)]
        first.result()
        assert [each.result() for each in others] == [True] * TOGETHER
    assert len(commits) == 2
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(film)) == TOGETHER


def test_the_same_film_from_many_at_once_is_one(database: Database) -> None:
    with ThreadPoolExecutor(TOGETHER + 1) as pool:
        first = pool.submit(database.write_grouped, Held(database, TOGETHER), None)
        others = [pool.submit(remember, database, 1) for _ in range(TOGETHER)]
        first.result()
        assert sorted(each.result() for each in others) == [False] * (TOGETHER - 1) + [True]


def test_what_one_cannot_write_does_not_undo_the_others(database: Database) -> None:
    def clash(transaction: Transaction, whats: list[None]) -> list[None]:
        for _ in range(2):
            transaction.connection.execute(study.insert().values(study_instance_uid="1.2.3", first_received_at=NOON))
        return whats

    with ThreadPoolExecutor(TOGETHER + 2) as pool:
        first = pool.submit(database.write_grouped, Held(database, TOGETHER + 1), None)
        others = [pool.submit(remember, database, number) for number in range(TOGETHER)]
        clashing = pool.submit(database.write_grouped, clash, None)
        first.result()
        assert [each.result() for each in others] == [True] * TOGETHER
        with pytest.raises(IntegrityError):
            clashing.result()
    with database.read() as connection:
        uids = connection.scalars(select(study.c.study_instance_uid)).all()
    assert len(uids) == TOGETHER
    assert "1.2.3" not in uids


def test_a_database_that_is_away_is_asked_once_for_all_of_them() -> None:
    database = Database("sqlite://", busy_timeout_s=0.1)
    asked: list[int] = []

    def away(_transaction: Transaction, _whats: list[None]) -> list[None]:
        asked.append(1)
        raise RetryLater("away")

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(database.write_grouped, Held(database, 3), None)
        others = [pool.submit(database.write_grouped, away, None) for _ in range(3)]
        first.result()
        for each in others:
            with pytest.raises(RetryLater):
                each.result()
    assert len(asked) == 1
    assert database.write_grouped(lambda _transaction, whats: [7 for _ in whats], None) == 7
    database.close()
