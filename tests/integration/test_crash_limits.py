"""Crash limits: a film or study that ends the process that works on it is set apart, and the others are reported."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from pydicom import Dataset

from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.reasons import Reason
from cxr_node.process_pool.pool import ProcessPool
from cxr_node.queue import queue
from cxr_node.report.kinds import secondary_capture, tid1500
from cxr_node.work.handlers.one_job import CRASH_LIMIT
from tests.support import films
from tests.support.deadly import DEADLY_HEADER, DEADLY_PIXELS, compose_context, deadly_films, die
from tests.support.node import InProcessNode
from tests.support.queue import claim_one

pytestmark = pytest.mark.ci_on_postgresql

KINDS = (tid1500.REPORT, secondary_capture.PICTURE)


def die_during(node: InProcessNode, stage: Stage, *, times: int, after_s: float = 0.0) -> None:
    """Let the process of a stage die during its next job, several times."""
    node.clock.advance(seconds=after_s)
    for _ in range(times):
        claim_one(node.database, stage, owner="node/deliver/7", now=node.clock.now)
        with node.database.write() as transaction:
            assert queue.expire_leases(transaction, owner="node/deliver/7", now=node.clock.now) == 1


@pytest.mark.parametrize("stage", [Stage.COMPOSE, Stage.DELIVER])
def test_a_job_during_which_its_process_always_dies_is_given_up(
    database: Database, tmp_path: Path, stage: Stage
) -> None:
    node = InProcessNode(database, tmp_path)
    node.accept(films.dx(seed=1))
    for earlier in list(Stage)[: list(Stage).index(stage)]:
        node.turn(earlier)
        node.clock.advance(seconds=60)
    die_during(node, stage, times=CRASH_LIMIT)
    node.accept(films.dx(seed=2))

    for _ in range(3):
        node.work()

    first, second = node.jobs(stage)
    assert (first.state, second.state) == (State.FAILED, State.DONE)
    assert "died or took too long, 5 times" in first.detail
    assert len(node.pacs.received) == 1


def study(comments: str, *, others: int = 1) -> list[Dataset]:
    """Return a film with these Patient Comments, and others of its study."""
    whole = [films.dx(seed=1), *(films.dx(seed=number + 2) for number in range(others))]
    for film in whole:
        film.StudyInstanceUID = whole[0].StudyInstanceUID
        for keyword in ("PatientID", "PatientName", "PatientBirthDate"):
            setattr(film, keyword, whole[0][keyword].value)
    whole[0].PatientComments = comments
    return whole


def work_long(node: InProcessNode, sent: Iterable[Dataset]) -> None:
    """Accept films, and work as long as a job may be tried."""
    for film in sent:
        node.accept(film)
    for _ in range(8):
        node.work()
        node.clock.advance(minutes=2)


def test_a_film_that_ends_composing_is_named_and_the_others_reported(database: Database, tmp_path: Path) -> None:
    deadly, other = study(DEADLY_HEADER)
    alone = films.dx(seed=9)
    node = InProcessNode(database, tmp_path, kinds=KINDS)

    with deadly_films(die):
        work_long(node, [deadly, other, alone])

    assert [job.state for job in node.jobs(Stage.COMPOSE)] == [State.DONE, State.DONE]
    reports = {report.StudyInstanceUID: report for report in node.pacs.reports() if report.Modality == "SR"}
    assert reports.keys() == {deadly.StudyInstanceUID, alone.StudyInstanceUID}
    report = reports[deadly.StudyInstanceUID].to_json()
    assert Reason.MODEL_ERROR.meaning in report
    assert all(str(film.SOPInstanceUID) in report for film in (deadly, other))


def test_a_film_whose_picture_ends_composing_has_a_report_without_it(database: Database, tmp_path: Path) -> None:
    (deadly,) = study(DEADLY_PIXELS, others=0)
    alone = films.dx(seed=9)
    node = InProcessNode(database, tmp_path, kinds=KINDS)

    with deadly_films(die):
        work_long(node, [deadly, alone])

    results = {(str(result.StudyInstanceUID), result.Modality) for result in node.pacs.reports()}
    assert results == {
        (deadly.StudyInstanceUID, "SR"),
        (alone.StudyInstanceUID, "SR"),
        (alone.StudyInstanceUID, "OT"),
    }


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_lone_film_that_kills_composing_is_reported_under_its_patient(database: Database, tmp_path: Path) -> None:
    (film,) = study(DEADLY_HEADER, others=0)
    opening = partial(compose_context, tmp_path / "archive")
    with ProcessPool(1, opening, timeout_s=60.0, memory_bytes=1 << 30) as executor:
        node = InProcessNode(database, tmp_path, compose_executor=executor)
        node.accept(film)
        node.turn(Stage.READ)
        die_during(node, Stage.COMPOSE, times=2, after_s=60)
        node.work()

    (report,) = node.pacs.reports()
    assert (report.PatientID, report.PatientName) == (film.PatientID, film.PatientName)
    assert Reason.MODEL_ERROR.meaning in report.to_json()
