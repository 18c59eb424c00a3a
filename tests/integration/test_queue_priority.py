"""Priority boosts: they apply to the whole study and are never lowered."""

import threading
from datetime import timedelta

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.queries import view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queue import queue, search
from cxr_node.records import ingest
from tests.support.queue import NOON, SENDER, claim_one, instance, store_film


def store_boosted(
    database: Database, name: str, *, study: str = "study", priority_boost_s: int = 600, after_s: float = 0
) -> None:
    ingest.store(
        database, instance(name, study=study), SENDER, archive_key=f"films/{name}", priority_boost_s=priority_boost_s,
        now=NOON + timedelta(seconds=after_s),
    )  # fmt: skip


def priorities(database: Database, stage: Stage | None = None) -> list[int]:
    with database.read() as connection:
        return [row.priority for row in reversed(search.jobs(connection, stage=stage))]


def test_a_boosted_film_passes_only_films_within_its_boost(
    database: Database,
) -> None:
    store_film(database, "long ago", study="a", now=NOON - timedelta(seconds=601))
    store_film(database, "just now", study="b", now=NOON - timedelta(seconds=599))
    store_boosted(database, "urgent", study="c")

    assert [claim_one(database).job_id for _ in range(3)] == [1, 3, 2]


def test_a_boost_applies_to_the_whole_study_and_is_not_lowered(database: Database) -> None:
    store_film(database, "a")
    claim = claim_one(database)
    with database.write() as transaction:
        queue.add_compose(transaction, 1, due_at=NOON, now=NOON)
        queue.finish(transaction, claim, now=NOON)
    store_film(database, "other", study="other")

    store_boosted(database, "b", priority_boost_s=600)
    store_boosted(database, "c", priority_boost_s=60)
    store_film(database, "d")

    assert priorities(database, Stage.READ) == [600, 0, 600, 600, 600]
    assert priorities(database, Stage.COMPOSE) == [600]
    with database.write() as transaction:
        queue.requeue(transaction, [claim.job_id], actor="person/ann", now=NOON)
    assert priorities(database, Stage.READ)[0] == 600


def test_a_known_film_received_with_a_boost_boosts_its_study(database: Database) -> None:
    store_film(database, "a")

    store_boosted(database, "a")

    assert priorities(database) == [600]


def test_concurrent_films_of_a_boosted_study_are_all_boosted(database: Database) -> None:
    names = [f"film{number}" for number in range(8)]
    start = threading.Barrier(len(names))
    errors: list[Exception] = []

    def receive(name: str, priority_boost_s: int) -> None:
        try:
            start.wait()
            store_boosted(database, name, priority_boost_s=priority_boost_s)
        except Exception as error:  # noqa: BLE001  # shown below
            errors.append(error)

    threads = [threading.Thread(target=receive, args=(name, 600 if name == "film3" else 0)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert priorities(database) == [600] * len(names)


def test_the_view_of_jobs_has_their_claim_order(database: Database) -> None:
    store_boosted(database, "a", priority_boost_s=90)

    with database.read() as connection:
        (row,) = view_rows.rows(connection, VIEWS["v1_jobs"])
    assert row["claim_order"] == NOON - timedelta(seconds=90)
    assert (row["priority"], row["study_id"]) == (90, 1)
