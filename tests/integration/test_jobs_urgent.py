"""Urgent studies on real databases: all of a study goes first, and what was urgent stays so."""

import threading
from datetime import timedelta

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.queries import view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queue import queue, search
from cxr_node.records import ingest
from tests.support.queue import NOON, SENDER, claim_one, instance, remember


def urgent(
    database: Database, name: str, *, study: str = "study", priority_boost_s: int = 600, after_s: float = 0
) -> None:
    ingest.store(
        database, instance(name, study=study), SENDER, archive_key=f"films/{name}", priority_boost_s=priority_boost_s,
        now=NOON + timedelta(seconds=after_s),
    )  # fmt: skip


def priorities(database: Database, stage: Stage | None = None) -> list[int]:
    with database.read() as connection:
        return [row.priority for row in reversed(search.jobs(connection, stage=stage))]


def test_an_urgent_film_is_read_before_those_that_came_earlier_but_not_before_those_that_waited_long(
    database: Database,
) -> None:
    remember(database, "long ago", study="a", now=NOON - timedelta(seconds=601))
    remember(database, "just now", study="b", now=NOON - timedelta(seconds=599))
    urgent(database, "urgent", study="c")

    assert [claim_one(database).job_id for _ in range(3)] == [1, 3, 2]


def test_a_second_film_makes_the_whole_study_urgent_and_a_third_not_less_so(database: Database) -> None:
    remember(database, "a")
    claim = claim_one(database)
    with database.write() as transaction:
        queue.add_compose(transaction, 1, due_at=NOON, now=NOON)
        queue.finish(transaction, claim, now=NOON)
    remember(database, "other", study="other")

    urgent(database, "b", priority_boost_s=600)
    urgent(database, "c", priority_boost_s=60)
    remember(database, "d")

    assert priorities(database, Stage.READ) == [600, 0, 600, 600, 600]
    assert priorities(database, Stage.COMPOSE) == [600]
    with database.write() as transaction:
        queue.requeue(transaction, [claim.job_id], actor="person/ann", now=NOON)
    assert priorities(database, Stage.READ)[0] == 600


def test_a_film_that_comes_again_as_urgent_makes_its_study_urgent(database: Database) -> None:
    remember(database, "a")

    urgent(database, "a")

    assert priorities(database) == [600]


def test_films_that_come_at_once_are_all_of_an_urgent_study(database: Database) -> None:
    names = [f"film{number}" for number in range(8)]
    start = threading.Barrier(len(names))
    errors: list[Exception] = []

    def receive(name: str, priority_boost_s: int) -> None:
        try:
            start.wait()
            urgent(database, name, priority_boost_s=priority_boost_s)
        except Exception as error:  # noqa: BLE001  # shown below
            errors.append(error)

    threads = [threading.Thread(target=receive, args=(name, 600 if name == "film3" else 0)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert priorities(database) == [600] * len(names)


def test_a_job_says_when_its_turn_is(database: Database) -> None:
    urgent(database, "a", priority_boost_s=90)

    with database.read() as connection:
        (row,) = view_rows.rows(connection, VIEWS["v1_jobs"])
    assert row["claim_order"] == NOON - timedelta(seconds=90)
    assert (row["priority"], row["study_id"]) == (90, 1)
