"""Batches of films: one that fails or hangs does not block the others."""

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
from cxr_node.work.handler import Batching
from tests.support import films
from tests.support.films import ROOT
from tests.support.node import OWNER, InProcessNode, StubNetwork
from tests.support.queue import claim_one
from tests.support.stub_prediction import prediction

pytestmark = pytest.mark.ci_on_postgresql

SICK_ROWS = 66
"""Rows of the film that the network of these tests cannot read."""


class Batches:
    """A network that records its batch sizes, and fails for films of `SICK_ROWS`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sizes: list[int] = []
        self._error = error

    def __call__(self, radiographs: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        self.sizes.append(len(radiographs))
        if self._error and any(film.geometry.rows == SICK_ROWS for film in radiographs):
            raise self._error
        return prediction(radiographs)


def node_with(database: Database, folder: Path, batches: Batches, *, wait_s: float = 0.0) -> InProcessNode:
    return InProcessNode(database, folder, reader=StubNetwork(batches), batching=Batching(size=3, wait_s=wait_s))


def test_films_of_several_studies_are_read_as_one_batch(database: Database, tmp_path: Path) -> None:
    batches = Batches()
    node = node_with(database, tmp_path, batches)
    for seed in range(4):
        node.accept(films.dx(seed=seed))
    node.accept(films.dx(seed=9, changes={"PixelData": None}))

    while node.turn(Stage.READ):
        pass

    assert batches.sizes == [3, 1]  # the fifth film is not for reading
    assert [job.state for job in node.jobs(Stage.READ)] == [State.DONE] * 4 + [State.NOT_ANALYSED]
    node.work()
    assert len(node.pacs.received) == 5


@pytest.mark.parametrize("error", [GiveUp(Reason.MODEL_ERROR, "odd output"), KeyError("a fault of the node")])
def test_a_batch_with_a_failing_film_is_read_one_film_at_a_time(
    database: Database, tmp_path: Path, error: Exception
) -> None:
    batches = Batches(error)
    node = node_with(database, tmp_path, batches)
    for seed, rows in enumerate((64, SICK_ROWS, 64)):
        node.accept(films.dx(seed=seed, rows=rows))

    node.turn(Stage.READ)

    assert batches.sizes == [3, 1, 1, 1]
    states = [job.state for job in node.jobs(Stage.READ)]
    assert (states[0], states[2]) == (State.DONE, State.DONE)
    assert states[1] == (State.NOT_ANALYSED if isinstance(error, GiveUp) else State.WAITING)


def test_a_film_that_crashed_a_reader_is_read_alone(database: Database, tmp_path: Path) -> None:
    batches = Batches()
    node = node_with(database, tmp_path, batches)
    node.accept(films.dx(seed=0))
    claim_one(database, owner=OWNER, now=node.clock.now)
    with database.write() as transaction:
        queue.expire_leases(transaction, owner=OWNER, now=node.clock.now)
    for seed in (1, 2):
        node.accept(films.dx(seed=seed))

    while node.turn(Stage.READ):
        pass

    assert batches.sizes == [1, 2]


def test_a_film_waits_for_its_batch_no_longer_than_configured(database: Database, tmp_path: Path) -> None:
    node = node_with(database, tmp_path, Batches(), wait_s=0.5)
    assert node.seconds_to_next(Stage.READ) is None
    node.accept(films.dx(seed=0))

    assert node.seconds_to_next(Stage.READ) == pytest.approx(0.5)
    node.clock.advance(seconds=0.5)
    assert node.seconds_to_next(Stage.READ) == pytest.approx(0.0)


def test_a_full_batch_does_not_wait(database: Database, tmp_path: Path) -> None:
    node = node_with(database, tmp_path, Batches(), wait_s=0.5)
    for seed in range(3):
        node.accept(films.dx(seed=seed))

    assert node.seconds_to_next(Stage.READ) == 0.0


def test_without_a_wait_a_film_is_read_at_once(database: Database, tmp_path: Path) -> None:
    node = node_with(database, tmp_path, Batches())
    node.accept(films.dx())

    assert node.seconds_to_next(Stage.READ) == 0.0


@pytest.mark.parametrize("hang", ["never_lets_go", pytest.param("waits", marks=pytest.mark.long)])
def test_a_hanging_film_ends_its_reader_and_is_finally_given_up(tmp_path: Path, hang: str) -> None:
    url = f"sqlite:///{tmp_path / 'node.db'}"
    database = Database(url)
    migrate.upgrade(database)
    node = InProcessNode(database, tmp_path)
    node.accept(films.dx())

    for _ in range(2):
        ended = _turn_of(url, tmp_path, hang)
        assert ended.returncode == 1
        assert "Timeout" in ended.stderr
        assert hang in ended.stderr
        assert films.PATIENT_NAME not in ended.stderr
        with database.write() as transaction:
            assert queue.expire_leases(transaction, owner=OWNER, now=node.clock.now) == 1
    node.accept(films.dx(seed=1))
    node.work()
    database.close()

    hung, other = node.jobs(Stage.READ)
    assert (hung.state, hung.reason) == (State.NOT_ANALYSED, Reason.MODEL_ERROR)
    assert "took too long" in hung.detail
    assert other.state is State.DONE


def _turn_of(url: str, folder: Path, hang: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.support.hanging_reader", url, str(folder), hang]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
