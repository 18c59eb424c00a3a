"""Processes that look at films beside the network: what ends one touches the film in it and no other."""

import logging
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from cxr_node import pipeline
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.errors import GiveUp, RetryLater
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.queue import queue
from cxr_node.reading.network_thread import NetworkThread
from cxr_node.reading.preprocess_pool import PreprocessPool, WorkerDied, WorkerFault
from cxr_node.records import films as kept
from cxr_node.records import readings
from cxr_node.work.shared_lock import SharedLock
from tests.support import films, pool
from tests.support.node import OWNER, InProcessNode
from tests.support.peers import until
from tests.support.pool import DEADLY_ROWS, Echo
from tests.support.queue import claim_one

SOON_S = 60.0


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreprocessPool]:
    with PreprocessPool(1, partial(pool.read_context, tmp_path_factory.mktemp("archive")), timeout_s=SOON_S) as opened:
        yield opened


def test_one_that_dies_is_started_again_for_the_next_film(eyes: PreprocessPool) -> None:
    before = eyes.map(pool.process_id, [None])
    with pytest.raises(WorkerDied, match="ended with status -9"):
        eyes.map(pool.is_killed, [None])

    assert eyes.map(pool.process_id, [None]) != before


def test_what_went_wrong_there_is_told_here_without_quoting_a_film(
    eyes: PreprocessPool, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(GiveUp) as gave_up:
        eyes.map(pool.gives_up, [None])
    with pytest.raises(RetryLater, match="the store is unavailable"):
        eyes.map(pool.retries_later, [None])
    with caplog.at_level(logging.DEBUG), pytest.raises(WorkerFault) as fault:
        eyes.map(pool.fails, [None])

    assert (gave_up.value.reason, gave_up.value.detail) == (Reason.DECODE, "the detail")
    assert str(fault.value).startswith("KeyError in tests.support.pool:")
    assert "JANE" not in str(fault.value) + caplog.text


def test_one_that_does_not_answer_is_ended(tmp_path: Path) -> None:
    with (
        PreprocessPool(1, partial(pool.read_context, tmp_path), timeout_s=0.2) as eyes,
        pytest.raises(WorkerDied, match="longer than"),
    ):
        eyes.map(pool.sleeps, [None])


def test_films_are_read_beside_each_other_as_they_are_in_turn(database: Database, tmp_path: Path) -> None:
    """Three films in one go of the network, one that is not to be read, and a film alone."""
    in_turn = InProcessNode(database, tmp_path)
    for seed in range(3):
        in_turn.accept(films.dx(seed=seed))
    in_turn.accept(films.dx(seed=9, changes={"PixelData": None}))
    with database.read() as connection:
        received = [kept.get(connection, job.film_id) for job in in_turn.jobs(Stage.READ) if job.film_id is not None]
    network = Echo()
    with PreprocessPool(2, partial(pool.read_context, tmp_path / "archive"), timeout_s=SOON_S) as eyes:
        thread = NetworkThread(lambda: network, watchdog=nullcontext)
        together = pipeline.read(received, executor=eyes, network=thread.network())
        alone = pipeline.read(received[:1], executor=eyes, network=thread.network())
    in_turn.work()

    assert network.sizes == [3, 1]
    assert together[:1] == alone
    assert [each.not_analysed for each in together] == [None, None, None, Reason.NO_PIXELS]
    assert [_plain(each) for each in together] == [_plain(each) for each in _stored(in_turn, received)]


def test_a_film_that_ends_its_process_is_set_aside_and_the_others_are_read(database: Database, tmp_path: Path) -> None:
    with PreprocessPool(2, partial(pool.read_context, tmp_path / "archive"), timeout_s=SOON_S) as eyes:
        shop = InProcessNode(
            database, tmp_path, executor=eyes, network=NetworkThread(Echo, watchdog=nullcontext).network
        )
        for seed, rows in enumerate((64, DEADLY_ROWS, 64)):
            shop.accept(films.dx(seed=seed, rows=rows))
        for _ in range(2):
            shop.work()
            shop.clock.go(seconds=60)

    first, deadly, last = shop.jobs(Stage.READ)
    assert (first.state, last.state) == (State.DONE, State.DONE)
    assert (first.attempts, last.attempts) == (1, 1)
    assert (deadly.state, deadly.reason, deadly.attempts) == (State.NOT_ANALYSED, Reason.MODEL_ERROR, 2)
    assert "ended with status -9" in deadly.detail


def test_a_film_during_which_a_reader_died_is_not_read_beside_others(database: Database, tmp_path: Path) -> None:
    company = SharedLock()
    shop = InProcessNode(database, tmp_path, company=company)
    shop.accept(films.dx())
    claim_one(database, owner=OWNER, now=shop.clock.now)
    with database.write() as transaction:
        queue.expire_leases(transaction, owner=OWNER, now=shop.clock.now)
    worker = threading.Thread(target=shop.turn, args=(Stage.READ,))

    with company.shared():
        worker.start()
        until(lambda: "to be run alone" in [each.detail for each in shop.jobs(Stage.READ)], what="the film put back")
        assert shop.reader.times == 0
    worker.join(SOON_S)

    (job,) = shop.jobs(Stage.READ)
    assert (job.state, job.attempts, shop.reader.times) == (State.DONE, 2, 1)


def _plain(reading: Reading) -> tuple[object, ...]:
    return reading.film, reading.geometry, reading.grayscale, reading.notes, reading.prediction, reading.detail


def _stored(shop: InProcessNode, received: list[kept.Film]) -> list[Reading]:
    with shop.database.read() as connection:
        return [
            reading
            for film in received
            if (reading := readings.latest(connection, film.film_id, film.identity)) is not None
        ]
