"""Films written in one transaction leave the same rows as films written one by one."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from sqlalchemy import delete, select

from cxr_node.db.correction_tables import rejected_film
from cxr_node.db.database import Database, Transaction
from cxr_node.db.identifier_tables import film_identifiers
from cxr_node.db.tables import film, job, job_event, study
from cxr_node.domain.rejection_titles import RejectedInstance, RejectionTitle
from cxr_node.records import constancy, ingest, rejection_notes
from cxr_node.records.ingest import IncomingFilm
from cxr_node.records.rejection_notes import KnownRejection, Rejection
from tests.support.queue import NOON, incoming_film, store_film


def random_films(seed: int) -> list[IncomingFilm]:
    """Return films of few studies: known ones, ones with other bytes, boosted ones."""
    chance = np.random.default_rng(seed)
    return [
        incoming_film(
            f"film {(number := chance.integers(8))}",
            study=f"study {number % 3}",
            content=(b"one", b"one", b"two")[chance.integers(3)],
            priority_boost_s=(0, 0, 0, 60, 600)[chance.integers(5)],
            after_s=second,
        )
        for second in range(20)
    ]


def all_rows(database: Database) -> list[list[tuple[object, ...]]]:
    """Return all rows without their numbers."""
    identifier_columns = [column for column in film_identifiers.c if column.name != "film_id"]
    film_jobs = job.join(film, job.c.film_id == film.c.id)
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
        .select_from(film_jobs)
        .order_by(film.c.sop_instance_uid, film.c.digest),
        select(film.c.sop_instance_uid, film.c.digest, *identifier_columns)
        .join(film_identifiers, film_identifiers.c.film_id == film.c.id)
        .order_by(film.c.sop_instance_uid, film.c.digest),
        select(film.c.sop_instance_uid, film.c.digest, job_event.c.event, job_event.c.state, job_event.c.at)
        .select_from(film_jobs.join(job_event, job_event.c.job_id == job.c.id))
        .order_by(film.c.sop_instance_uid, film.c.digest, job_event.c.event),
    )
    with database.read() as connection:
        return [[tuple(row) for row in connection.execute(query)] for query in queries]


@pytest.mark.parametrize("seed", range(6))
def test_a_batch_leaves_the_same_rows_as_single_films(database: Database, seed: int) -> None:
    several = random_films(seed)
    with database.write() as transaction:
        are_new = ingest.write(transaction, several)
    together = all_rows(database)
    with database.write() as transaction:
        for table in (job_event, job, film_identifiers, film, study):
            transaction.connection.execute(delete(table))
    are_new_alone = []
    for single in several:
        with database.write() as transaction:
            are_new_alone += ingest.write(transaction, [single])
    assert are_new == are_new_alone
    assert 0 < sum(are_new) < len(are_new)
    assert together == all_rows(database)


def test_films_of_a_constancy_check_are_linked_in_a_batch(database: Database) -> None:
    expected = incoming_film("phantom", study="check")
    with database.write() as transaction:
        run = constancy.start(transaction, now=NOON)
        constancy.announce(transaction, run, 7, expected.uid, now=NOON)
    with database.write() as transaction:
        assert ingest.write(transaction, [incoming_film("a"), expected, incoming_film("b")]) == [True, True, True]
    with database.read() as connection:
        (sent,) = constancy.films_of(connection, run)
        query = select(film.c.id).where(film.c.sop_instance_uid == expected.uid)
        assert sent.film_id == connection.scalar(query)


def test_two_films_rejected_before_they_came_do_not_deadlock(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are of one study, which each transaction has locked for itself before it hides its film."""
    names = ("a", "b")
    with database.write() as transaction:
        ingest.write(transaction, [incoming_film("first")])
        instances = [
            RejectedInstance(study_instance_uid=film.study_uid, sop_instance_uid=film.uid)
            for film in map(incoming_film, names)
        ]
        rejection_notes.reject(
            transaction, instances, Rejection(title=RejectionTitle.QUALITY, detail="", by="test", at=NOON)
        )
    both = threading.Barrier(2)
    on_arrival = rejection_notes.on_arrival

    def together(transaction: Transaction, rejections: Iterable[KnownRejection]) -> None:
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        on_arrival(transaction, rejections)

    monkeypatch.setattr(rejection_notes, "on_arrival", together)
    others = [Database(database_url) for _ in names]
    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(store_film, others, names))
    for other in others:
        other.close()
    with database.read() as connection:
        assert len(connection.execute(select(rejected_film.c.id)).all()) == 2


def test_two_writers_of_the_same_studies_do_not_deadlock(database: Database, database_url: str) -> None:
    rounds, studies = 25, 6
    start = threading.Barrier(2)

    def write(other: Database, number: int) -> None:
        chance = np.random.default_rng(number)
        for round_number in range(rounds):
            films = [
                incoming_film(
                    f"{number} {round_number} {study_number}",
                    study=f"study {study_number}",
                    priority_boost_s=round_number * (study_number == number),
                )
                for study_number in range(studies)
            ]
            start.wait(60)
            with other.write() as transaction:
                assert all(ingest.write(transaction, [films[index] for index in chance.permutation(studies)]))

    with database.write() as transaction:
        ingest.write(transaction, [incoming_film(f"first {index}", study=f"study {index}") for index in range(studies)])
    others = [Database(database_url) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, other, number) for number, other in enumerate(others)]
        assert [writer.exception() for writer in writers] == [None, None]
    for other in others:
        other.close()
    with database.read() as connection:
        assert len(connection.execute(select(film.c.id)).all()) == (2 * rounds + 1) * studies
