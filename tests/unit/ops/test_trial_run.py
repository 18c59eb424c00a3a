"""Run of a trial: order of rows, temporary films, crashes, waiting and faults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cxr_node.archive.folder import FolderArchive
from cxr_node.domain.errors import ProcessDied, RetryLater
from cxr_node.domain.reasons import Reason
from cxr_node.ops.trial.rows import Answer, Obstacle, Row
from cxr_node.ops.trial.run import Trial
from cxr_node.ops.trial.sources import find_sources
from cxr_node.process_pool.executor import InProcess, Item, Result
from cxr_node.reading.context import ReadContext
from cxr_node.wiring.trial import TrialReader
from tests.support import films
from tests.support.pool import Echo
from tests.support.stub_prediction import RULES
from tests.support.trial_files import encoded

CRASH_LIMIT = 2


@dataclass
class FailingExecutor:
    """Executor that raises an error for each call, at most `times`; then it runs them in this process."""

    context: ReadContext
    error: Exception
    times: int
    calls: int = 0
    _real: InProcess[ReadContext] = field(init=False)

    def __post_init__(self) -> None:
        self._real = InProcess(self.context)

    def map(self, call: Callable[[ReadContext, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Raise, or return the results."""
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return self._real.map(call, items)


@pytest.fixture
def archive(tmp_path: Path) -> FolderArchive:
    return FolderArchive(tmp_path / "archive")


def rows(
    archive: FolderArchive, folder: Path, *, error: Exception | None = None, times: int = 0, at_once: int = 1
) -> list[Row]:
    context = ReadContext(archive=archive, rules=RULES)
    executor = InProcess(context) if error is None else FailingExecutor(context, error, times)
    network = Echo()
    reader = TrialReader(archive=archive, executor=executor, network=lambda: network, films_at_once=at_once)
    trial = Trial(reader=reader, maximum_object_bytes=1 << 20, crash_limit=CRASH_LIMIT)
    return list(trial.run(find_sources([folder])))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One film."""
    root = tmp_path / "films"
    root.mkdir()
    (root / "0.dcm").write_bytes(encoded(films.dx()))
    return root


@pytest.mark.slow
def test_rows_keep_the_order_of_files_and_no_film_stays(archive: FolderArchive, folder: Path) -> None:
    for seed in range(1, 8):
        (folder / f"{seed}.dcm").write_bytes(encoded(films.dx(seed=seed)))
    (folder / "4.dcm").write_text("no film", encoding="utf-8")
    (folder / "8.dcm").write_bytes((folder / "0.dcm").read_bytes())
    (folder / "9.dcm").write_bytes(encoded(films.dx(changes={"PatientID": "OTHER"})))

    outcome = [(row.file, row.answer) for row in rows(archive, folder, at_once=3)]

    answers = dict.fromkeys(range(10), Answer.READ) | {4: Answer.NO_FILM, 8: Answer.REPEATED, 9: Answer.NOT_ANALYSED}
    assert outcome == [(f"{number}.dcm", answer) for number, answer in answers.items()]
    assert list(archive.stored_keys()) == []


def test_a_film_whose_process_dies_once_is_read_again(archive: FolderArchive, folder: Path) -> None:
    (row,) = rows(archive, folder, error=ProcessDied("the process ended"), times=1)

    assert row.answer is Answer.READ


def test_a_film_whose_process_dies_each_time_is_not_analysed(archive: FolderArchive, folder: Path) -> None:
    (row,) = rows(archive, folder, error=ProcessDied("the process ended"), times=CRASH_LIMIT)

    assert (row.answer, row.reason) == (Answer.NOT_ANALYSED, Reason.MODEL_ERROR)
    assert row.detail == "the process ended, in each of 2 attempts"


@pytest.mark.parametrize(
    ("error", "reason"), [(RetryLater("no server"), Obstacle.NOT_NOW), (KeyError("DOE^JANE"), Obstacle.FAULT)]
)
def test_any_other_error_is_a_row(archive: FolderArchive, folder: Path, error: Exception, reason: Obstacle) -> None:
    (row,) = rows(archive, folder, error=error, times=9)

    assert (row.answer, row.reason) == (Answer.FAILED, reason)
    assert "DOE" not in str(row.plain())
    assert "KeyError" not in str(row.plain())
    assert list(archive.stored_keys()) == []
