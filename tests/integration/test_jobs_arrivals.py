"""Films that are written together leave the same rows as films that are written one by one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import delete, select

from cxr_node.db.database import Database
from cxr_node.db.tables import film, job, job_event, study
from cxr_node.records import constancy, ingest
from cxr_node.records.ingest import IncomingFilm
from tests.support.queue import NOON, arrived


def any_arrivals(seed: int) -> list[IncomingFilm]:
    """Return films as they never come in so short a time: known, changed, urgent, of few studies."""
    chance = np.random.default_rng(seed)
    return [
        arrived(
            f"film {(number := chance.integers(8))}",
            of=f"study {number % 3}",
            content=(b"one", b"one", b"two")[chance.integers(3)],
            priority_boost_s=(0, 0, 0, 60, 600)[chance.integers(5)],
            after_s=second,
        )
        for second in range(20)
    ]


def everything(database: Database) -> list[list[tuple[object, ...]]]:
    """Return what the films left, without the numbers of rows."""
    of_job = job.join(film, job.c.film_id == film.c.id)
    queries = (
        select(study.c.study_instance_uid, study.c.priority, study.c.first_received_at).order_by(
            study.c.study_instance_uid
        ),
        select(film, study.c.study_instance_uid)
        .join(study, film.c.study_id == study.c.id)
        .order_by(film.c.sop_instance_uid, film.c.digest)
        .with_only_columns(
            *(column for column in film.c if column.name not in {"id", "study_id"}), study.c.study_instance_uid
        ),
        select(
            film.c.digest, film.c.sop_instance_uid, job.c.stage, job.c.state, job.c.reason, job.c.priority, job.c.due_at
        )
        .select_from(of_job)
        .order_by(film.c.sop_instance_uid, film.c.digest),
        select(film.c.sop_instance_uid, film.c.digest, job_event.c.event, job_event.c.state, job_event.c.at)
        .select_from(of_job.join(job_event, job_event.c.job_id == job.c.id))
        .order_by(film.c.sop_instance_uid, film.c.digest, job_event.c.event),
    )
    with database.read() as connection:
        return [[tuple(row) for row in connection.execute(query)] for query in queries]


@pytest.mark.parametrize("seed", range(6))
def test_together_or_one_by_one_is_the_same(database: Database, seed: int) -> None:
    several = any_arrivals(seed)
    with database.write() as transaction:
        said = ingest.write(transaction, several)
    together = everything(database)
    with database.write() as transaction:
        for table in (job_event, job, film, study):
            transaction.connection.execute(delete(table))
    said_alone = []
    for each in several:
        with database.write() as transaction:
            said_alone += ingest.write(transaction, [each])
    assert said == said_alone
    assert 0 < sum(said) < len(said)
    assert together == everything(database)


def test_films_of_a_check_are_marked_among_others(database: Database) -> None:
    expected = arrived("phantom", of="check")
    with database.write() as transaction:
        run = constancy.start(transaction, now=NOON)
        constancy.announce(transaction, run, 7, expected.uid, now=NOON)
    with database.write() as transaction:
        assert ingest.write(transaction, [arrived("a"), expected, arrived("b")]) == [True, True, True]
    with database.read() as connection:
        (sent,) = constancy.films_of(connection, run)
        named = select(film.c.id).where(film.c.sop_instance_uid == expected.uid)
        assert sent.film_id == connection.scalar(named)


def test_two_that_write_films_of_the_same_studies_do_not_stop_each_other(database: Database, database_url: str) -> None:
    rounds, studies = 25, 6
    start = threading.Barrier(2)

    def write(other: Database, number: int) -> None:
        chance = np.random.default_rng(number)
        for turn in range(rounds):
            films = [
                arrived(f"{number} {turn} {each}", of=f"study {each}", priority_boost_s=turn * (each == number))
                for each in range(studies)
            ]
            start.wait(60)
            with other.write() as transaction:
                assert all(ingest.write(transaction, [films[each] for each in chance.permutation(studies)]))

    with database.write() as transaction:
        ingest.write(transaction, [arrived(f"first {each}", of=f"study {each}") for each in range(studies)])
    others = [Database(database_url) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        done_all = [pool.submit(write, other, number) for number, other in enumerate(others)]
        assert [done.exception() for done in done_all] == [None, None]
    for other in others:
        other.close()
    with database.read() as connection:
        assert len(connection.execute(select(film.c.id)).all()) == (2 * rounds + 1) * studies
