"""Stages and worker: a film from acceptance to delivery, and every way in which a stage fails."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from sqlalchemy import select

from cxr_node.db.database import Database, DatabaseUnavailable
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import delivery, finding, reading, result
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.deliver.routing import Condition
from cxr_node.domain.codes import Code
from cxr_node.domain.errors import GiveUp, RetryLater
from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import (
    Appearance,
    Laterality,
    Measurement,
    Observation,
    Prediction,
    Region,
    Structure,
    Topic,
)
from cxr_node.domain.reasons import Note, Reason
from cxr_node.queue import queue
from cxr_node.records import readings
from cxr_node.report.kinds import key_objects, tid1500
from cxr_node.settings.root import Settings
from cxr_node.wiring.deliver import retry_rule
from tests.support import films
from tests.support.node import CRASH_LIMIT, MAX_WAIT_S, QUIET_S, InProcessNode, StubNetwork, received
from tests.support.queue import LEASE, claim_one
from tests.support.stub_prediction import prediction

pytestmark = pytest.mark.ci_on_postgresql

WITHOUT_VIEW = {"ViewPosition": None, "ViewCodeSequence": None}


@pytest.fixture
def node(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path)


def raising(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


def test_a_film_is_read_composed_and_delivered(node: InProcessNode) -> None:
    film = films.dx()
    node.accept(film)

    node.work()

    assert [(job.stage, job.state) for job in node.jobs()] == [
        (stage, State.DONE) for stage in (Stage.READ, Stage.COMPOSE, Stage.DELIVER)
    ]
    (report,) = node.pacs.reports()
    assert report.StudyInstanceUID == film.StudyInstanceUID
    assert report.PatientName == film.PatientName
    with node.database.read() as connection:
        assert connection.execute(select(finding.c.key, finding.c.score)).all() == [("lung_opacity", 0.75)]
        assert connection.execute(select(delivery.c.status, delivery.c.delivered_at)).all() == [
            (0, node.clock.now - timedelta(seconds=QUIET_S))
        ]


STRUCTURES = (
    Structure(
        key="posterior_ribs",
        confidence=0.1 + 0.2,  # no short decimal: bits must come back
        regions=(
            Region(outline=((1.0, 2.0), (3.25, 2.0), (3.0, 1 / 3))),
            Region(outline=((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0, 9))),  # whole numbers stay whole
        ),
    ),
    Structure(key="heart", confidence=0.0, regions=()),
)

A_CODE = Code(value="80891009", scheme_designator="SCT", meaning="Heart")
MEASUREMENTS = (
    Measurement(
        key="ratio",
        code=A_CODE,
        value=1 / 3,
        unit=Code(value="{ratio}", scheme_designator="UCUM", meaning="ratio"),
        line=((1.0, 2.0), (3.5, 2.0)),
        provenance="drawn",
    ),
    Measurement(
        key="height",
        code=A_CODE,
        value=12.0,
        unit=Code(value="mm", scheme_designator="UCUM", meaning="mm"),
        line=(),
        provenance="",
        topic=Topic.STRUCTURES,
        site=A_CODE,
        laterality=Laterality.LEFT,
    ),
)
OBSERVATIONS = (
    Observation(key="plain", topic=Topic.QUALITY, code=A_CODE, value=A_CODE),
    Observation(
        key="full",
        topic=Topic.BORDERS,
        code=A_CODE,
        value=A_CODE,
        detail="near the edge",
        site=A_CODE,
        laterality=Laterality.RIGHT,
        line=((0.5, 1.5), (2.5, 1 / 3), (7, 8)),
        regions=(Region(outline=((0.0, 0.0), (9.0, 0.0), (9.0, 9.0))),),
        confidence=0.1 + 0.2,
        provenance="drawn",
    ),
)


@pytest.mark.parametrize(
    "appearance",
    [
        None,
        Appearance(view=View.AP, score=2 / 3, distance=1e-17, limit=4.0),
        Appearance(view=None, score=0.5, distance=0.0, limit=0.1),
    ],
)
def test_a_reading_comes_back_from_its_rows_as_it_went_in(node: InProcessNode, appearance: Appearance | None) -> None:
    node.accept(films.dx())
    node.turn(Stage.READ)

    identity = received(films.dx()).identity
    with node.database.read() as connection:
        stored = readings.latest(connection, 1, identity)
    assert stored is not None
    assert stored.prediction is not None
    complete = replace(stored.prediction, structures=STRUCTURES, appearance=appearance)
    for again in (
        stored,
        replace(stored, prediction=complete, measurements=MEASUREMENTS, observations=OBSERVATIONS),
    ):
        with node.database.write() as transaction:
            readings.write(transaction, 1, again, now=node.clock.now)
        with node.database.read() as connection:
            latest = readings.latest(connection, 1, identity)
            assert latest == again
            assert repr(latest) == repr(again)  # an equal number or text of another type is written otherwise
            assert len(connection.execute(select(reading.c.id)).all()) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PixelData": None}, Reason.NO_PIXELS),
        ({"PixelData": b"\0\0"}, Reason.DECODE),
        ({"ViewPosition": "LL", "ViewCodeSequence": None}, Reason.VIEW),
        ({"BodyPartExamined": "HIP", "AnatomicRegionSequence": None}, Reason.BODY_PART),
        ({"PatientAge": "003Y", "PatientBirthDate": ""}, Reason.AGE),
    ],
)
def test_a_refused_film_is_reported_with_the_reason(
    node: InProcessNode, changes: dict[str, object], reason: Reason
) -> None:
    node.accept(films.dx(changes=changes))

    node.work()

    read, compose, deliver = node.jobs()
    assert (read.state, read.reason) == (State.NOT_ANALYSED, reason)
    assert read.detail
    assert (compose.state, deliver.state) == (State.DONE, State.DONE)
    assert reason.meaning in str(node.pacs.reports()[0])
    assert node.reader.calls == 0


def looking_like(view: View | None, *, distance: float = 1.0) -> Callable[..., tuple[Prediction, ...]]:
    """Return a network's answer with this appearance for every film."""
    appearance = Appearance(view=view, score=0.99, distance=distance, limit=4.0)
    return lambda radiographs: tuple(replace(film, appearance=appearance) for film in prediction(radiographs))


@pytest.mark.parametrize(
    ("view", "distance", "reason"),
    [(None, 1.0, Reason.BODY_PART), (View.LATERAL, 1.0, Reason.VIEW), (View.PA, 4.5, Reason.UNUSUAL)],
)
def test_a_film_of_unsuitable_appearance_is_reported_with_the_reason(
    database: Database, tmp_path: Path, view: View | None, distance: float, reason: Reason
) -> None:
    node = InProcessNode(database, tmp_path, reader=StubNetwork(looking_like(view, distance=distance)))
    node.accept(films.dx(changes=WITHOUT_VIEW))

    node.work()

    job = node.jobs(Stage.READ)[0]
    assert (job.state, job.reason) == (State.NOT_ANALYSED, reason)
    assert reason.meaning in str(node.pacs.reports()[0])


def test_a_view_not_stated_is_taken_from_the_network(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, reader=StubNetwork(looking_like(View.AP)))
    node.accept(films.dx(changes=WITHOUT_VIEW))

    node.work()

    (report,) = node.pacs.reports()
    assert "View from network" in report.to_json()
    assert Note.VIEW_DOUBTED.meaning not in str(report)


def test_a_stated_view_that_the_model_doubts_stays_and_is_noted(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, reader=StubNetwork(looking_like(View.PA)))
    node.accept(films.dx())  # states AP

    node.work()

    (report,) = node.pacs.reports()
    assert Note.VIEW_DOUBTED.meaning in str(report)
    assert node.jobs(Stage.READ)[0].state is State.DONE


def test_a_reader_that_gives_a_film_up_does_not_stop_the_next(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, reader=StubNetwork(raising(GiveUp(Reason.MODEL_ERROR, "odd output"))))
    node.accept(films.dx(seed=1))
    node.turn(Stage.READ)
    node.reader.answer = prediction
    node.accept(films.dx(seed=2))

    node.work()

    assert [job.state for job in node.jobs(Stage.READ)] == [State.NOT_ANALYSED, State.DONE]
    assert len(node.pacs.received) == 2


def test_a_fault_of_the_node_is_retried_and_reported_without_film_content(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, reader=StubNetwork(raising(KeyError(films.PATIENT_NAME))))
    node.accept(films.dx())
    node.turn(Stage.READ)
    (job,) = node.jobs()
    assert (job.state, job.due_at) == (State.WAITING, node.clock.now + timedelta(seconds=1))

    node.clock.advance(hours=1)
    node.work()

    job = node.jobs(Stage.READ)[0]
    assert (job.state, job.reason) == (State.NOT_ANALYSED, Reason.MODEL_ERROR)
    assert re.fullmatch(r"fault in the node, at tests\.integration\.test_worker:\d+", job.detail)
    assert films.PATIENT_NAME not in job.detail
    assert len(node.pacs.received) == 1


def test_a_film_that_crashes_its_reader_repeatedly_is_given_up(node: InProcessNode) -> None:
    node.accept(films.dx())
    for _ in range(CRASH_LIMIT):
        claim_one(node.database, owner="node/read/7", now=node.clock.now)
        with node.database.write() as transaction:
            assert queue.expire_leases(transaction, owner="node/read/7", now=node.clock.now) == 1

    node.work()

    job = node.jobs(Stage.READ)[0]
    assert (job.state, job.reason) == (State.NOT_ANALYSED, Reason.MODEL_ERROR)
    assert "died or took too long, 2 times" in job.detail
    assert node.reader.calls == 0
    assert len(node.pacs.received) == 1


def test_a_worker_that_lost_its_lease_changes_nothing(node: InProcessNode) -> None:
    node.accept(films.dx())

    def slow(_radiographs: object) -> NoReturn:
        node.clock.advance(seconds=LEASE.total_seconds() + 1)
        with node.database.write() as transaction:
            queue.expire_leases(transaction, now=node.clock.now)
        claim_one(node.database, owner="node/read/9", now=node.clock.now)
        raise GiveUp(Reason.MODEL_ERROR, "too late")

    node.reader.answer = slow
    node.turn(Stage.READ)

    (job,) = node.jobs()
    assert (job.state, job.reason) == (State.RUNNING, None)
    with node.database.read() as connection:
        assert connection.execute(select(reading.c.id)).all() == []


def test_an_unreachable_pacs_is_retried_for_as_long_as_configured(database: Database, tmp_path: Path) -> None:
    settings = Settings.model_validate({"deliver": {"give_up_hours": 2}})
    node = InProcessNode(database, tmp_path, retry=retry_rule(settings))
    node.pacs.before_send = raising(RetryLater("PACS at 127.0.0.1 refused the connection"))
    node.accept(films.dx())
    node.work()
    while (job := node.jobs(Stage.DELIVER)[0]).state is State.WAITING:
        node.clock.now = job.due_at
        node.turn(Stage.DELIVER)

    assert job.state is State.FAILED
    assert job.ended_at is not None
    assert timedelta(hours=2) <= job.ended_at - job.created_at <= timedelta(hours=3)


def test_an_unreachable_pacs_is_retried_for_three_days_without_rereading(node: InProcessNode) -> None:
    node.pacs.before_send = raising(RetryLater("PACS at 127.0.0.1 refused the connection"))
    node.accept(films.dx())
    node.work()
    attempts = 0
    while (job := node.jobs(Stage.DELIVER)[0]).state is State.WAITING:
        node.clock.now = job.due_at
        attempts += node.turn(Stage.DELIVER)

    assert job.state is State.FAILED
    assert job.detail == "PACS at 127.0.0.1 refused the connection"
    assert job.ended_at is not None
    assert timedelta(hours=72) <= job.ended_at - job.created_at <= timedelta(hours=73)
    assert 72 < attempts < 100
    assert node.reader.calls == 1


def test_a_pacs_that_comes_back_gets_the_stored_bytes_once(node: InProcessNode) -> None:
    node.pacs.before_send = raising(RetryLater("unreachable"))
    node.accept(films.dx())
    node.work()
    node.pacs.before_send = lambda: None
    node.clock.advance(hours=1)

    node.work()

    (sent,) = node.pacs.received
    assert node.jobs(Stage.DELIVER)[0].state is State.DONE
    (file,) = tuple(Path(node.archive._root).glob("results/*/*.dcm"))
    assert file.read_bytes() == sent


def test_a_rejected_delivery_fails_until_an_operator_retries_it(node: InProcessNode) -> None:
    node.pacs.before_send = raising(DeliveryRejected("PACS answered 0x0122 (SOP class not supported)", status=0x0122))
    node.accept(films.dx())
    node.work()
    job = node.jobs(Stage.DELIVER)[0]
    assert (job.state, job.detail) == (State.FAILED, "PACS answered 0x0122 (SOP class not supported)")

    node.pacs.before_send = lambda: None
    with node.database.write() as transaction:
        queue.requeue(transaction, [job.job_id], actor="person/ann", now=node.clock.now)
    node.work()

    assert node.jobs(Stage.DELIVER)[0].state is State.DONE
    assert len(node.pacs.received) == 1


def test_a_destination_removed_from_the_settings_is_named(node: InProcessNode) -> None:
    node.accept(films.dx())
    while node.turn(Stage.READ) or node.turn(Stage.COMPOSE):
        node.clock.advance(seconds=QUIET_S)
    with node.database.write() as transaction:
        transaction.connection.execute(delivery.update().values(destination="old"))

    node.turn(Stage.DELIVER)
    (waiting,) = node.jobs(Stage.DELIVER)
    node.clock.advance(seconds=180)
    node.work()

    assert (waiting.state, waiting.detail) == (
        State.WAITING,
        "destination 'old' is not configured on this host yet",
    )
    job = node.jobs(Stage.DELIVER)[0]
    assert (job.state, job.detail) == (
        State.FAILED,
        "destination 'old' is not configured: add it, then retry",
    )


def test_a_study_of_two_films_sent_together_has_one_report(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.turn(Stage.READ)
    node.clock.advance(seconds=1)
    node.accept(films.cr())

    node.work()

    assert len(node.pacs.received) == 1
    assert [job.stage for job in node.jobs()] == [Stage.READ, Stage.COMPOSE, Stage.READ, Stage.DELIVER]


def test_a_late_film_yields_a_new_version_that_names_the_one_before(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    node.clock.advance(minutes=5)
    node.accept(films.cr())

    node.work()

    first, second = node.pacs.reports()
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
    predecessor = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_a_film_read_again_with_the_same_result_sends_nothing(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    with node.database.write() as transaction:
        queue.requeue(transaction, [1], actor="person/ann", now=node.clock.now)

    node.work()

    assert node.reader.calls == 2
    assert len(node.pacs.received) == 1
    assert node.jobs(Stage.COMPOSE)[-1].detail == "nothing new to report"


def test_a_study_waits_for_unread_films_until_its_deadline(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.accept(films.cr())
    node.turn(Stage.READ)
    claim_one(node.database, now=node.clock.now)  # a reader that never comes back
    node.work()
    assert node.pacs.received == []

    node.clock.advance(seconds=MAX_WAIT_S)
    node.turn(Stage.COMPOSE)
    node.turn(Stage.DELIVER)

    assert len(node.pacs.received) == 1


def test_films_of_two_patients_in_one_study_are_answered_by_two_reports(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.accept(films.cr(changes={"PatientID": "SOMEONE-ELSE"}))

    node.work()

    (compose,) = node.jobs(Stage.COMPOSE)
    assert compose.state is State.DONE
    reports = [dcmread(DicomBytesIO(content)) for content in node.pacs.received]
    assert {str(report.PatientID) for report in reports} == {films.PATIENT_ID, "SOMEONE-ELSE"}


def test_an_unavailable_database_at_completion_costs_one_lease_only(node: InProcessNode) -> None:
    node.accept(films.dx())
    write = node.database.write

    def unavailable() -> NoReturn:
        node.database.write = write  # type: ignore[method-assign]  # back again after one failure
        raise DatabaseUnavailable("database away: OperationalError")

    def answer(radiographs: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        node.database.write = unavailable  # type: ignore[method-assign]  # when the completion is recorded
        return prediction(radiographs)

    node.reader.answer = answer

    with pytest.raises(DatabaseUnavailable):
        node.turn(Stage.READ)
    node.clock.advance(seconds=LEASE.total_seconds() + 1)
    with node.database.write() as transaction:
        queue.expire_leases(transaction, now=node.clock.now)
    node.reader.answer = prediction
    node.work()

    assert len(node.pacs.received) == 1


@pytest.mark.parametrize(
    ("condition", "kinds"),
    [
        (Condition(), ["KO", "TID1500"]),
        (Condition(findings=("lung_opacity",)), ["KO", "TID1500"]),
        (Condition(findings=("effusion",)), []),
        (Condition(views=(View.PA,)), []),
    ],
)
def test_results_follow_route_conditions_and_are_always_archived(
    database: Database, tmp_path: Path, condition: Condition, kinds: list[str]
) -> None:
    node = InProcessNode(database, tmp_path, kinds=(tid1500.REPORT, key_objects.KEY_IMAGES), condition=condition)
    node.accept(films.dx())

    node.work()

    sent = sorted("KO" if report.Modality == "KO" else "TID1500" for report in node.pacs.reports())
    assert sent == kinds
    with database.read() as connection:
        assert "TID1500" in connection.execute(select(result.c.kind)).scalars().all()
