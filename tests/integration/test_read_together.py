"""Films read together, films that hang, and the others that go on."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Prediction
from cxr_node.domain.reasons import Reason
from cxr_node.queue import queue
from cxr_node.work.batching import Batching
from tests.support import films
from tests.support.films import ROOT
from tests.support.hanging_reader import HANGS
from tests.support.node import OWNER, InProcessNode, Says, prediction
from tests.support.queue import claim_one

SICK_ROWS = 66
"""By its rows a reader of these tests knows the film that it cannot read."""


class Batches:
    """A reader that remembers how many films came together, and cannot read one of them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sizes: list[int] = []
        self._error = error

    def __call__(self, given: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        self.sizes.append(len(given))
        if self._error and any(film.geometry.rows == SICK_ROWS for film in given):
            raise self._error
        return prediction(given)


def shop_of(database: Database, folder: Path, batches: Batches, *, wait_s: float = 0.0) -> InProcessNode:
    return InProcessNode(database, folder, reader=Says(batches), together=Batching(size=3, wait_s=wait_s))


def test_films_of_several_studies_are_read_in_one_go(database: Database, tmp_path: Path) -> None:
    batches = Batches()
    shop = shop_of(database, tmp_path, batches)
    for seed in range(4):
        shop.accept(films.dx(seed=seed))
    shop.accept(films.dx(seed=9, changes={"PixelData": None}))

    while shop.turn(Stage.READ):
        pass

    assert batches.sizes == [3, 1]  # the fifth film is not for reading
    assert [job.state for job in shop.jobs(Stage.READ)] == [State.DONE] * 4 + [State.NOT_ANALYSED]
    shop.work()
    assert len(shop.pacs.arrived) == 5


@pytest.mark.parametrize("error", [GiveUp(Reason.MODEL_ERROR, "odd output"), KeyError("a fault of ours")])
def test_a_film_that_fails_among_others_is_read_alone_and_they_go_on(
    database: Database, tmp_path: Path, error: Exception
) -> None:
    batches = Batches(error)
    shop = shop_of(database, tmp_path, batches)
    for seed, rows in enumerate((64, SICK_ROWS, 64)):
        shop.accept(films.dx(seed=seed, rows=rows))

    shop.turn(Stage.READ)

    assert batches.sizes == [3, 1, 1, 1]
    states = [job.state for job in shop.jobs(Stage.READ)]
    assert (states[0], states[2]) == (State.DONE, State.DONE)
    assert states[1] == (State.NOT_ANALYSED if isinstance(error, GiveUp) else State.WAITING)


def test_a_film_during_which_a_reader_died_is_read_alone(database: Database, tmp_path: Path) -> None:
    batches = Batches()
    shop = shop_of(database, tmp_path, batches)
    shop.accept(films.dx(seed=0))
    claim_one(database, owner=OWNER, now=shop.clock.now)
    with database.write() as transaction:
        queue.expire_leases(transaction, owner=OWNER, now=shop.clock.now)
    for seed in (1, 2):
        shop.accept(films.dx(seed=seed))

    while shop.turn(Stage.READ):
        pass

    assert batches.sizes == [1, 2]


def test_a_film_waits_for_others_no_longer_than_it_may(database: Database, tmp_path: Path) -> None:
    shop = shop_of(database, tmp_path, Batches(), wait_s=0.5)
    assert shop.seconds_to_next(Stage.READ) is None
    shop.accept(films.dx(seed=0))

    assert shop.seconds_to_next(Stage.READ) == pytest.approx(0.5)
    shop.clock.go(seconds=0.5)
    assert shop.seconds_to_next(Stage.READ) == pytest.approx(0.0)


def test_films_enough_do_not_wait(database: Database, tmp_path: Path) -> None:
    shop = shop_of(database, tmp_path, Batches(), wait_s=0.5)
    for seed in range(3):
        shop.accept(films.dx(seed=seed))

    assert shop.seconds_to_next(Stage.READ) == 0.0


def test_without_a_wait_a_film_is_read_at_once(database: Database, tmp_path: Path) -> None:
    shop = shop_of(database, tmp_path, Batches())
    shop.accept(films.dx())

    assert shop.seconds_to_next(Stage.READ) == 0.0


@pytest.mark.parametrize("hang", HANGS)
def test_a_film_that_hangs_ends_its_reader_and_is_set_aside_at_last(tmp_path: Path, hang: str) -> None:
    url = f"sqlite:///{tmp_path / 'node.db'}"
    database = Database(url)
    migrate.upgrade(database)
    shop = InProcessNode(database, tmp_path)
    shop.accept(films.dx())

    for _ in range(2):
        ended = _turn_of(url, tmp_path, hang)
        assert ended.returncode == 1
        assert "Timeout" in ended.stderr
        assert hang in ended.stderr
        assert films.PATIENT_NAME not in ended.stderr
        with database.write() as transaction:
            assert queue.expire_leases(transaction, owner=OWNER, now=shop.clock.now) == 1
    shop.accept(films.dx(seed=1))
    shop.work()
    database.close()

    hung, other = shop.jobs(Stage.READ)
    assert (hung.state, hung.reason) == (State.NOT_ANALYSED, Reason.MODEL_ERROR)
    assert "took too long" in hung.detail
    assert other.state is State.DONE


def _turn_of(url: str, folder: Path, hang: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.support.hanging_reader", url, str(folder), hang]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
