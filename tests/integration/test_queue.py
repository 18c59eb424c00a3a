"""Job queue on SQLite and PostgreSQL."""

import threading
from datetime import timedelta

import pytest

from cxr_node.db import migrate
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Event, ForbiddenTransition, Stage, State
from cxr_node.domain.reasons import Reason
from cxr_node.queue import claimable, claiming, queue, search
from cxr_node.queue.claiming import Claim
from cxr_node.records import films, ingest
from tests.support.queue import LEASE, NOON, SENDER, claim_none, claim_one, instance, store_film


def states(database: Database, stage: Stage | None = None) -> list[State]:
    with database.read() as connection:
        return [row.state for row in search.jobs(connection, stage=stage)]


def test_a_stored_film_becomes_one_waiting_job(database: Database) -> None:
    assert store_film(database, "a")

    claim = claim_one(database)

    with database.read() as connection:
        film = films.get(connection, claim.subject_id)
    assert film.identity == instance("a").identity
    assert film.received_at == NOON
    assert film.sender == SENDER
    assert (claim.attempts, claim.crashes) == (1, 0)
    assert claim_none(database)


def test_the_same_film_twice_is_one_job(database: Database) -> None:
    assert store_film(database, "a")
    assert not store_film(database, "a", now=NOON + LEASE)

    assert states(database) == [State.WAITING]


def test_the_same_uid_with_other_bytes_is_kept_and_compared_later(database: Database) -> None:
    ingest.store(database, instance("a", content=b"one"), SENDER, archive_key="1", now=NOON)
    ingest.store(database, instance("a", content=b"two"), SENDER, archive_key="2", now=NOON)
    ingest.store(database, instance("a", content=b"three"), SENDER, archive_key="3", now=NOON)

    with database.read() as connection:
        rows = search.jobs(connection)
        first = films.get(connection, 1)
        study_films = films.of_study(connection, first.study_id)
        later = films.get(connection, 2)
    assert [(row.state, row.reason) for row in rows] == [(State.WAITING, None)] * 3
    assert [film.archive_key for film in study_films] == ["1"]
    assert (later.is_original, later.first_archive_key) == (False, "1")


def test_concurrent_films_of_one_new_study_are_all_stored(database: Database) -> None:
    names = [f"film{number}" for number in range(8)]
    start = threading.Barrier(len(names))
    errors: list[Exception] = []

    def receive(name: str) -> None:
        try:
            start.wait()
            store_film(database, name)
        except Exception as error:  # noqa: BLE001  # shown below
            errors.append(error)

    threads = [threading.Thread(target=receive, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert states(database) == [State.WAITING] * len(names)
    with database.read() as connection:
        assert len(films.of_study(connection, 1)) == len(names)


def test_two_workers_never_hold_the_same_job(database: Database) -> None:
    for number in range(40):
        store_film(database, f"film{number}", study=f"study{number}")
    held: list[int] = []

    def work(owner: str) -> None:
        while True:
            with database.write() as transaction:
                claims = claiming.claim(transaction, Stage.READ, owner=owner, lease=LEASE, now=NOON, limit=3)
            if not claims:
                return
            held.extend(claim.job_id for claim in claims)

    threads = [threading.Thread(target=work, args=(f"node/read/{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(held) == list(range(1, 41))


def test_an_expired_lease_returns_the_job_and_counts_a_crash(database: Database) -> None:
    store_film(database, "a")
    lost = claim_one(database)
    later = NOON + LEASE + timedelta(seconds=1)

    with database.write() as transaction:
        assert queue.expire_leases(transaction, now=NOON) == 0
        assert queue.expire_leases(transaction, now=later) == 1
    again = claim_one(database, now=later, owner="node/read/9")

    assert (again.attempts, again.crashes) == (2, 1)
    with pytest.raises(ForbiddenTransition), database.write() as transaction:
        queue.finish(transaction, lost, now=later)
    with database.write() as transaction:
        queue.finish(transaction, again, now=later)
    assert states(database) == [State.DONE]


def test_a_restart_of_the_node_returns_jobs_without_a_crash(database: Database) -> None:
    store_film(database, "a")
    store_film(database, "b")
    claim_one(database, owner="node/read/1")
    claim_one(database, owner="nodes/read/1")

    with database.write() as transaction:
        assert queue.release(transaction, owner_prefix="node/", now=NOON) == 1

    assert claim_one(database).crashes == 0
    assert claim_none(database)


def test_a_retried_job_is_not_claimed_before_it_is_due(database: Database) -> None:
    store_film(database, "a")
    claim = claim_one(database)
    due_at = NOON + timedelta(seconds=5)

    with database.write() as transaction:
        queue.retry(transaction, claim, due_at=due_at, detail="disk busy", now=NOON)

    assert claim_none(database, now=NOON)
    with database.read() as connection:
        assert claimable.next_due(connection, Stage.READ) == due_at
    assert claim_one(database, now=due_at).attempts == 2


def test_every_state_change_of_a_job_is_an_event(database: Database) -> None:
    store_film(database, "a")
    claim = claim_one(database)
    with database.write() as transaction:
        queue.finish_not_analysed(transaction, claim, reason=Reason.VIEW, detail="lateral", now=NOON)
    with database.write() as transaction:
        assert queue.requeue(transaction, [claim.job_id, 999], actor="person/ann", now=NOON) == [claim.job_id]

    with database.read() as connection:
        events = search.events(connection, claim.job_id)
    assert [(event.event, event.state, event.actor) for event in events] == [
        (Event.CREATED, State.WAITING, ""),
        (Event.CLAIMED, State.RUNNING, "node/read/1"),
        (Event.NOT_ANALYSED, State.NOT_ANALYSED, "node/read/1"),
        (Event.REQUEUED, State.WAITING, "person/ann"),
    ]


def test_a_running_job_cannot_be_requeued(database: Database) -> None:
    store_film(database, "a")
    claim = claim_one(database)

    with database.write() as transaction:
        assert queue.requeue(transaction, [claim.job_id], actor="person/ann", now=NOON) == []

    assert states(database) == [State.RUNNING]


def test_a_study_is_composed_when_due_by_one_worker_at_a_time(database: Database) -> None:
    store_film(database, "a")
    for seconds in (1, 3):
        with database.write() as transaction:
            queue.add_compose(transaction, 1, due_at=NOON + timedelta(seconds=seconds), now=NOON)
    assert claim_none(database, Stage.COMPOSE, now=NOON + timedelta(seconds=2))

    claim = claim_one(database, Stage.COMPOSE, now=NOON + timedelta(seconds=3))
    with database.write() as transaction:
        queue.add_compose(transaction, 1, due_at=NOON, now=NOON)
    assert claim_none(database, Stage.COMPOSE, now=NOON + timedelta(seconds=4))

    with database.write() as transaction:
        queue.finish(transaction, claim, now=NOON)
    assert claim_one(database, Stage.COMPOSE).subject_id == 1


def _with_notification(transaction: Transaction) -> Transaction:
    transaction.notify.add(Stage.READ)
    return transaction


def test_stages_are_notified_at_commit_and_not_at_rollback(database_url: str) -> None:
    notified: list[Stage] = []
    database = Database(database_url, on_commit=notified.append)
    migrate.upgrade(database)
    unknown = Claim(
        job_id=999,
        stage=Stage.READ,
        subject_id=1,
        attempts=1,
        crashes=0,
        queued_at=NOON,
        lease_owner="x",
        lease_until=NOON,
    )
    try:
        with pytest.raises(ForbiddenTransition), database.write() as transaction:
            queue.finish(_with_notification(transaction), unknown, now=NOON)
        assert notified == []

        store_film(database, "a")
        assert notified == [Stage.READ]
    finally:
        database.close()
