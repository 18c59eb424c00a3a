"""Preprocessing pool: a crash of a worker affects the film in it and no other."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from cxr_node import pipeline
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.errors import GiveUp, ProcessDied, RetryLater
from cxr_node.domain.film import Film
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.process_pool.idle import IdleExecutor
from cxr_node.process_pool.pool import ProcessPool, WorkerFault
from cxr_node.queue import queue
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import NetworkThread
from cxr_node.records import films as film_records
from cxr_node.records import readings
from cxr_node.work.shared_lock import SharedLock
from tests.support import films, pool
from tests.support.node import OWNER, InProcessNode
from tests.support.peers import until
from tests.support.pool import DEADLY_ROWS, Echo
from tests.support.queue import claim_one

SOON_S = 60.0
MEMORY_BYTES = 1 << 30


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPool[ReadContext]]:
    with ProcessPool(
        1, partial(pool.read_context, tmp_path_factory.mktemp("archive")), timeout_s=SOON_S, memory_bytes=MEMORY_BYTES
    ) as opened:
        yield opened


def test_a_dead_worker_is_restarted_for_the_next_film(workers: ProcessPool[ReadContext]) -> None:
    before = workers.map(pool.process_id, [None])
    with pytest.raises(ProcessDied, match="ended with status -9"):
        workers.map(pool.is_killed, [None])

    assert workers.map(pool.process_id, [None]) != before


def test_a_call_beyond_the_memory_limit_ends_its_process_alone(workers: ProcessPool[ReadContext]) -> None:
    before = workers.map(pool.process_id, [None])
    with pytest.raises(ProcessDied, match="needed more than 1024 MiB of memory"):
        workers.map(pool.allocates, [MEMORY_BYTES])

    assert workers.map(pool.allocates, [1 << 20]) == [1 << 20]
    assert workers.map(pool.process_id, [None]) != before


def test_an_idle_process_ends_and_starts_again_at_the_next_call(tmp_path: Path) -> None:
    def executor(idle_s: float) -> IdleExecutor[ReadContext]:
        open_context = partial(pool.read_context, tmp_path)
        return IdleExecutor(open_context, timeout_s=SOON_S, memory_bytes=MEMORY_BYTES, idle_s=idle_s)

    with executor(SOON_S) as busy:
        first, second = busy.map(pool.process_id, [None]), busy.map(pool.process_id, [None])
    with executor(0.0) as idle:
        before = idle.map(pool.process_id, [None])
        until(lambda: not idle.is_running, what="the end of the idle process")
        after = idle.map(pool.process_id, [None])

    assert first == second
    assert before != after
    assert not busy.is_running


def test_closing_ends_an_idle_executor_within_its_call(tmp_path: Path) -> None:
    executor = IdleExecutor(
        partial(pool.read_context, tmp_path), timeout_s=SOON_S, memory_bytes=MEMORY_BYTES, idle_s=SOON_S
    )
    executor.map(pool.process_id, [None])
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(executor.map, pool.sleeps, [None])
        until(executor._lock.locked, what="the call that hangs")
        executor.close()
        with pytest.raises(ProcessDied):
            call.result(SOON_S / 2)

    assert not executor.is_running
    with pytest.raises(ProcessDied):
        executor.map(pool.process_id, [None])


def test_a_worker_inherits_no_secret_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_NODE_DATABASE_PASSWORD", "sesame")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with ProcessPool(1, partial(pool.read_context, tmp_path), timeout_s=SOON_S, memory_bytes=MEMORY_BYTES) as workers:
        (names,) = workers.map(pool.variables, [None])

    assert not {"CXR_NODE_DATABASE_PASSWORD", "CREDENTIALS_DIRECTORY"} & set(names)
    assert "PATH" in names


def test_errors_of_a_worker_reach_the_parent_without_film_content(
    workers: ProcessPool[ReadContext], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(GiveUp) as gave_up:
        workers.map(pool.gives_up, [None])
    with pytest.raises(RetryLater, match="the store is unavailable"):
        workers.map(pool.retries_later, [None])
    with caplog.at_level(logging.DEBUG), pytest.raises(WorkerFault) as fault:
        workers.map(pool.fails, [None])

    assert (gave_up.value.reason, gave_up.value.detail) == (Reason.DECODE, "the detail")
    assert fault.value.place.startswith("tests.support.pool:")
    assert str(fault.value) == f"KeyError in {fault.value.place}"
    assert "JANE" not in str(fault.value) + caplog.text


def test_a_worker_that_exceeds_its_timeout_is_killed(tmp_path: Path) -> None:
    with (
        ProcessPool(1, partial(pool.read_context, tmp_path), timeout_s=0.2, memory_bytes=MEMORY_BYTES) as workers,
        pytest.raises(ProcessDied, match="longer than"),
    ):
        workers.map(pool.sleeps, [None])


@pytest.mark.long_on_postgresql  # the pool knows no database
def test_films_read_in_the_pool_have_the_readings_of_one_process(database: Database, tmp_path: Path) -> None:
    """Three films in one batch, one refused by the gate, and a film alone."""
    in_process = InProcessNode(database, tmp_path)
    for seed in range(3):
        in_process.accept(films.dx(seed=seed))
    in_process.accept(films.dx(seed=9, changes={"PixelData": None}))
    with database.read() as connection:
        received = [
            film_records.get(connection, job.film_id) for job in in_process.jobs(Stage.READ) if job.film_id is not None
        ]
    network = Echo()
    with ProcessPool(
        2, partial(pool.read_context, tmp_path / "archive"), timeout_s=SOON_S, memory_bytes=MEMORY_BYTES
    ) as workers:
        thread = NetworkThread(lambda: network, watchdog=nullcontext)
        together = pipeline.read(received, executor=workers, network=thread.network())
        alone = pipeline.read(received[:1], executor=workers, network=thread.network())
    in_process.work()

    assert network.sizes == [3, 1]
    assert together[:1] == alone
    assert [reading.not_analysed for reading in together] == [None, None, None, Reason.NO_PIXELS]
    assert [_comparable(reading) for reading in together] == [
        _comparable(reading) for reading in _stored(in_process, received)
    ]


@pytest.mark.long_on_postgresql  # the pool knows no database
def test_a_film_that_kills_its_worker_is_given_up_and_others_are_read(database: Database, tmp_path: Path) -> None:
    with ProcessPool(
        2, partial(pool.read_context, tmp_path / "archive"), timeout_s=SOON_S, memory_bytes=MEMORY_BYTES
    ) as workers:
        node = InProcessNode(
            database, tmp_path, executor=workers, network=NetworkThread(Echo, watchdog=nullcontext).network
        )
        for seed, rows in enumerate((64, DEADLY_ROWS, 64)):
            node.accept(films.dx(seed=seed, rows=rows))
        for _ in range(2):
            node.work()
            node.clock.advance(seconds=60)

    first, deadly, last = node.jobs(Stage.READ)
    assert (first.state, last.state) == (State.DONE, State.DONE)
    assert (first.attempts, last.attempts) == (1, 1)
    assert (deadly.state, deadly.reason, deadly.attempts) == (State.NOT_ANALYSED, Reason.MODEL_ERROR, 2)
    assert "ended with status -9" in deadly.detail


def test_a_film_that_crashed_a_reader_is_not_read_beside_others(database: Database, tmp_path: Path) -> None:
    lock = SharedLock()
    node = InProcessNode(database, tmp_path, lock=lock)
    node.accept(films.dx())
    claim_one(database, owner=OWNER, now=node.clock.now)
    with database.write() as transaction:
        queue.expire_leases(transaction, owner=OWNER, now=node.clock.now)
    thread = threading.Thread(target=node.turn, args=(Stage.READ,))

    with lock.shared():
        thread.start()
        until(
            lambda: "to be run alone" in [job.detail for job in node.jobs(Stage.READ)], what="the film to be released"
        )
        assert node.reader.calls == 0
    thread.join(SOON_S)

    (job,) = node.jobs(Stage.READ)
    assert (job.state, job.attempts, node.reader.calls) == (State.DONE, 2, 1)


def _comparable(reading: Reading) -> tuple[object, ...]:
    return reading.film, reading.geometry, reading.grayscale, reading.notes, reading.prediction, reading.detail


def _stored(node: InProcessNode, received: list[Film]) -> list[Reading]:
    with node.database.read() as connection:
        return [
            reading
            for film in received
            if (reading := readings.latest(connection, film.film_id, film.identity)) is not None
        ]
