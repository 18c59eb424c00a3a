"""The queue on real databases."""

import threading
from datetime import timedelta

import pytest

from cxr_node.db import migrate
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Event, ForbiddenTransition, Stage, State
from cxr_node.domain.reasons import Reason
from cxr_node.queue import claimable, claiming, queue, search
from cxr_node.records import films, ingest
from tests.support.queue import LEASE, NOON, SENDER, claim_none, claim_one, instance, remember


def states(database: Database, stage: Stage | None = None) -> list[State]:
    with database.read() as connection:
        return [row.state for row in search.jobs(connection, stage=stage)]


def test_a_film_remembered_becomes_one_waiting_job(database: Database) -> None:
    assert remember(database, "a")

    claim = claim_one(database)

    with database.read() as connection:
        film = films.get(connection, claim.subject_id)
    assert film.identity == instance("a").identity
    assert film.received_at == NOON
    assert film.sender == SENDER
    assert (claim.attempts, claim.crashes) == (1, 0)
    assert claim_none(database)


def test_the_same_film_twice_is_one_job(database: Database) -> None:
    assert remember(database, "a")
    assert not remember(database, "a", now=NOON + LEASE)

    assert states(database) == [State.WAITING]


def test_the_same_uid_with_other_content_is_kept_and_set_aside(database: Database) -> None:
    ingest.store(database, instance("a", content=b"one"), SENDER, archive_key="1", now=NOON)
    ingest.store(database, instance("a", content=b"two"), SENDER, archive_key="2", now=NOON)
    ingest.store(database, instance("a", content=b"three"), SENDER, archive_key="3", now=NOON)

    with database.read() as connection:
        rows = search.jobs(connection)
        first = films.get(connection, 1)
        of_study = films.of_study(connection, first.study_id)
    assert [(row.state, row.reason) for row in rows] == [
        (State.NOT_ANALYSED, Reason.DUPLICATE),
        (State.NOT_ANALYSED, Reason.DUPLICATE),
        (State.WAITING, None),
    ]
    assert [film.archive_key for film in of_study] == ["1"]


def test_films_that_arrive_together_in_one_new_study_are_all_kept(database: Database) -> None:
    names = [f"film{number}" for number in range(8)]
    start = threading.Barrier(len(names))
    errors: list[Exception] = []

    def receive(name: str) -> None:
        try:
            start.wait()
            remember(database, name)
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
        remember(database, f"film{number}", study=f"study{number}")
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


def test_a_lease_that_runs_out_gives_the_job_back_and_counts_a_crash(database: Database) -> None:
    remember(database, "a")
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


def test_a_restart_of_the_node_gives_jobs_back_without_blaming_them(database: Database) -> None:
    remember(database, "a")
    remember(database, "b")
    claim_one(database, owner="node/read/1")
    claim_one(database, owner="nodes/read/1")

    with database.write() as transaction:
        assert queue.release(transaction, owner_prefix="node/", now=NOON) == 1

    assert claim_one(database).crashes == 0
    assert claim_none(database)


def test_a_job_put_off_is_not_claimed_before_it_is_due(database: Database) -> None:
    remember(database, "a")
    claim = claim_one(database)
    due_at = NOON + timedelta(seconds=5)

    with database.write() as transaction:
        queue.retry(transaction, claim, due_at=due_at, detail="disk busy", now=NOON)

    assert claim_none(database, now=NOON)
    with database.read() as connection:
        assert claimable.next_due(connection, Stage.READ) == due_at
    assert claim_one(database, now=due_at).attempts == 2


def test_every_step_of_a_job_is_remembered(database: Database) -> None:
    remember(database, "a")
    claim = claim_one(database)
    with database.write() as transaction:
        queue.set_aside(transaction, claim, reason=Reason.VIEW, detail="lateral", now=NOON)
    with database.write() as transaction:
        assert queue.requeue(transaction, [claim.job_id, 999], actor="person/ann", now=NOON) == [claim.job_id]

    with database.read() as connection:
        events = search.events(connection, claim.job_id)
    assert [(event.event, event.state, event.actor) for event in events] == [
        (Event.CREATED, State.WAITING, ""),
        (Event.CLAIMED, State.RUNNING, "node/read/1"),
        (Event.SET_ASIDE, State.NOT_ANALYSED, "node/read/1"),
        (Event.REQUEUED, State.WAITING, "person/ann"),
    ]


def test_a_job_in_hand_cannot_be_requeued(database: Database) -> None:
    remember(database, "a")
    claim = claim_one(database)

    with database.write() as transaction:
        assert queue.requeue(transaction, [claim.job_id], actor="person/ann", now=NOON) == []

    assert states(database) == [State.RUNNING]


def test_a_study_is_composed_once_it_is_quiet_and_by_one_worker_at_a_time(database: Database) -> None:
    remember(database, "a")
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


def _having_woken(transaction: Transaction) -> Transaction:
    transaction.notify.add(Stage.READ)
    return transaction


def test_work_is_rung_for_when_it_is_committed_and_not_when_it_is_rolled_back(database_url: str) -> None:
    rung: list[Stage] = []
    database = Database(database_url, on_commit=rung.append)
    migrate.upgrade(database)
    try:
        with pytest.raises(ForbiddenTransition), database.write() as transaction:
            queue.set_aside_unclaimed(_having_woken(transaction), 999, reason="", detail="", now=NOON)
        assert rung == []

        remember(database, "a")
        assert rung == [Stage.READ]
    finally:
        database.close()
