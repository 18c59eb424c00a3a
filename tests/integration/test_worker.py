"""The stages and their worker: what becomes of a film when all goes well, and when it does not."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import select

from cxr_node.db.database import Database, DatabaseUnavailable
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import delivery, finding, reading, result
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.deliver.routing import Condition
from cxr_node.domain.codes import Code
from cxr_node.domain.errors import GiveUp, RetryLater
from cxr_node.domain.radiograph import Radiograph, View
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
from cxr_node.wiring import deliver as delivering
from tests.support import films
from tests.support.node import CALM_S, CEILING_S, CRASH_LIMIT, InProcessNode, Says, prediction, received
from tests.support.queue import LEASE, claim_one

WITHOUT_VIEW = {"ViewPosition": None, "ViewCodeSequence": None}


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path)


def raising(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


def test_a_film_is_read_composed_and_delivered(shop: InProcessNode) -> None:
    film = films.dx()
    shop.accept(film)

    shop.work()

    assert [(job.stage, job.state) for job in shop.jobs()] == [
        (stage, State.DONE) for stage in (Stage.READ, Stage.COMPOSE, Stage.DELIVER)
    ]
    (report,) = shop.pacs.reports()
    assert report.StudyInstanceUID == film.StudyInstanceUID
    assert report.PatientName == film.PatientName
    with shop.database.read() as connection:
        assert connection.execute(select(finding.c.key, finding.c.score)).all() == [("lung_opacity", 0.75)]
        assert connection.execute(select(delivery.c.status, delivery.c.delivered_at)).all() == [
            (0, shop.clock.now - timedelta(seconds=CALM_S))
        ]


EVERYTHING_SEEN = (
    Structure(
        key="posterior_ribs",
        confidence=0.1 + 0.2,  # no short decimal: bits must come back
        regions=(
            Region(outline=((1.0, 2.0), (3.25, 2.0), (3.0, 1 / 3))),
            Region(outline=((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))),
        ),
    ),
    Structure(key="heart", confidence=0.0, regions=()),
)

A_CODE = Code(value="80891009", scheme_designator="SCT", meaning="Heart")
EVERYTHING_MEASURED = (
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
EVERYTHING_OBSERVED = (
    Observation(key="plain", topic=Topic.QUALITY, code=A_CODE, value=A_CODE),
    Observation(
        key="full",
        topic=Topic.BORDERS,
        code=A_CODE,
        value=A_CODE,
        detail="near the edge",
        site=A_CODE,
        laterality=Laterality.RIGHT,
        line=((0.5, 1.5), (2.5, 1 / 3)),
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
def test_a_reading_comes_back_from_its_rows_as_it_went_in(shop: InProcessNode, appearance: Appearance | None) -> None:
    shop.accept(films.dx())
    shop.turn(Stage.READ)

    identity = received(films.dx()).identity
    with shop.database.read() as connection:
        kept = readings.latest(connection, 1, identity)
    assert kept is not None
    assert kept.prediction is not None
    seen = replace(kept.prediction, structures=EVERYTHING_SEEN, appearance=appearance)
    for again in (
        kept,
        replace(kept, prediction=seen, measurements=EVERYTHING_MEASURED, observations=EVERYTHING_OBSERVED),
    ):
        with shop.database.write() as transaction:
            readings.write(transaction, 1, again, now=shop.clock.now)
        with shop.database.read() as connection:
            assert readings.latest(connection, 1, identity) == again
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
def test_a_film_that_cannot_be_read_is_answered_with_the_reason(
    shop: InProcessNode, changes: dict[str, object], reason: Reason
) -> None:
    shop.accept(films.dx(changes=changes))

    shop.work()

    read, compose, deliver = shop.jobs()
    assert (read.state, read.reason) == (State.NOT_ANALYSED, reason)
    assert read.detail
    assert (compose.state, deliver.state) == (State.DONE, State.DONE)
    assert reason.meaning in str(shop.pacs.reports()[0])
    assert shop.reader.times == 0


def looking_like(view: View | None, *, distance: float = 1.0) -> Callable[..., tuple[Prediction, ...]]:
    """Return what a reader says that takes every film for this."""
    appearance = Appearance(view=view, score=0.99, distance=distance, limit=4.0)
    return lambda given: tuple(replace(said, appearance=appearance) for said in prediction(given))


@pytest.mark.parametrize(
    ("view", "distance", "reason"),
    [(None, 1.0, Reason.BODY_PART), (View.LATERAL, 1.0, Reason.VIEW), (View.PA, 4.5, Reason.UNUSUAL)],
)
def test_a_film_that_looks_like_none_the_model_reads_is_answered_with_the_reason(
    database: Database, tmp_path: Path, view: View | None, distance: float, reason: Reason
) -> None:
    shop = InProcessNode(database, tmp_path, reader=Says(looking_like(view, distance=distance)))
    shop.accept(films.dx(changes=WITHOUT_VIEW))

    shop.work()

    job = shop.jobs(Stage.READ)[0]
    assert (job.state, job.reason) == (State.NOT_ANALYSED, reason)
    assert reason.meaning in str(shop.pacs.reports()[0])


def test_a_view_stated_nowhere_is_told_from_the_network(database: Database, tmp_path: Path) -> None:
    shop = InProcessNode(database, tmp_path, reader=Says(looking_like(View.AP)))
    shop.accept(films.dx(changes=WITHOUT_VIEW))

    shop.work()

    (report,) = shop.pacs.reports()
    assert "View from network" in report.to_json()
    assert Note.VIEW_DOUBTED.meaning not in str(report)


def test_a_stated_view_that_the_model_doubts_stays_and_is_noted(database: Database, tmp_path: Path) -> None:
    shop = InProcessNode(database, tmp_path, reader=Says(looking_like(View.PA)))
    shop.accept(films.dx())  # states AP

    shop.work()

    (report,) = shop.pacs.reports()
    assert Note.VIEW_DOUBTED.meaning in str(report)
    assert shop.jobs(Stage.READ)[0].state is State.DONE


def test_a_reader_that_gives_a_film_up_does_not_stop_the_next(database: Database, tmp_path: Path) -> None:
    shop = InProcessNode(database, tmp_path, reader=Says(raising(GiveUp(Reason.MODEL_ERROR, "odd output"))))
    shop.accept(films.dx(seed=1))
    shop.turn(Stage.READ)
    shop.reader.answer = prediction
    shop.accept(films.dx(seed=2))

    shop.work()

    assert [job.state for job in shop.jobs(Stage.READ)] == [State.NOT_ANALYSED, State.DONE]
    assert len(shop.pacs.arrived) == 2


def test_a_fault_of_ours_is_tried_again_and_then_reported_without_quoting_the_film(
    database: Database, tmp_path: Path
) -> None:
    shop = InProcessNode(database, tmp_path, reader=Says(raising(KeyError(films.PATIENT_NAME))))
    shop.accept(films.dx())
    shop.turn(Stage.READ)
    (job,) = shop.jobs()
    assert (job.state, job.due_at) == (State.WAITING, shop.clock.now + timedelta(seconds=1))

    shop.clock.go(hours=1)
    shop.work()

    job = shop.jobs(Stage.READ)[0]
    assert (job.state, job.reason) == (State.NOT_ANALYSED, Reason.MODEL_ERROR)
    assert "fault in the node: KeyError" in job.detail
    assert films.PATIENT_NAME not in job.detail
    assert len(shop.pacs.arrived) == 1


def test_a_film_that_kills_its_reader_again_and_again_is_set_aside(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    for _ in range(CRASH_LIMIT):
        claim_one(shop.database, owner="node/read/7", now=shop.clock.now)
        with shop.database.write() as transaction:
            assert queue.expire_leases(transaction, owner="node/read/7", now=shop.clock.now) == 1

    shop.work()

    job = shop.jobs(Stage.READ)[0]
    assert (job.state, job.reason) == (State.NOT_ANALYSED, Reason.MODEL_ERROR)
    assert "stopped 2 times" in job.detail
    assert shop.reader.times == 0
    assert len(shop.pacs.arrived) == 1


def test_a_worker_that_lost_its_lease_changes_nothing(shop: InProcessNode) -> None:
    shop.accept(films.dx())

    def slow(given: object) -> NoReturn:
        shop.clock.go(seconds=LEASE.total_seconds() + 1)
        with shop.database.write() as transaction:
            queue.expire_leases(transaction, now=shop.clock.now)
        claim_one(shop.database, owner="node/read/9", now=shop.clock.now)
        raise GiveUp(Reason.MODEL_ERROR, "too late")

    shop.reader.answer = slow
    shop.turn(Stage.READ)

    (job,) = shop.jobs()
    assert (job.state, job.reason) == (State.RUNNING, None)
    with shop.database.read() as connection:
        assert connection.execute(select(reading.c.id)).all() == []


def test_a_pacs_that_is_away_is_tried_for_as_long_as_the_settings_say(database: Database, tmp_path: Path) -> None:
    settings = Settings.model_validate({"deliver": {"give_up_hours": 2}})
    shop = InProcessNode(database, tmp_path, rule=delivering.rule(settings))
    shop.pacs.before = raising(RetryLater("PACS at 127.0.0.1 refused the connection"))
    shop.accept(films.dx())
    shop.work()
    while (job := shop.jobs(Stage.DELIVER)[0]).state is State.WAITING:
        shop.clock.now = job.due_at
        shop.turn(Stage.DELIVER)

    assert job.state is State.FAILED
    assert job.ended_at is not None
    assert timedelta(hours=2) <= job.ended_at - job.created_at <= timedelta(hours=3)


def test_a_pacs_that_is_away_is_tried_for_three_days_and_the_model_runs_once(shop: InProcessNode) -> None:
    shop.pacs.before = raising(RetryLater("PACS at 127.0.0.1 refused the connection"))
    shop.accept(films.dx())
    shop.work()
    tries = 0
    while (job := shop.jobs(Stage.DELIVER)[0]).state is State.WAITING:
        shop.clock.now = job.due_at
        tries += shop.turn(Stage.DELIVER)

    assert job.state is State.FAILED
    assert job.detail == "PACS at 127.0.0.1 refused the connection"
    assert job.ended_at is not None
    assert timedelta(hours=72) <= job.ended_at - job.created_at <= timedelta(hours=73)
    assert 72 < tries < 100
    assert shop.reader.times == 1


def test_a_pacs_that_comes_back_gets_the_stored_bytes_once(shop: InProcessNode) -> None:
    shop.pacs.before = raising(RetryLater("away"))
    shop.accept(films.dx())
    shop.work()
    shop.pacs.before = lambda: None
    shop.clock.go(hours=1)

    shop.work()

    (sent,) = shop.pacs.arrived
    assert shop.jobs(Stage.DELIVER)[0].state is State.DONE
    (kept,) = tuple(Path(shop.archive._root).glob("results/*/*.dcm"))
    assert kept.read_bytes() == sent


def test_a_refusal_waits_for_a_person_who_may_try_again(shop: InProcessNode) -> None:
    shop.pacs.before = raising(DeliveryRejected("PACS answered 0x0122 (SOP class not supported)", status=0x0122))
    shop.accept(films.dx())
    shop.work()
    job = shop.jobs(Stage.DELIVER)[0]
    assert (job.state, job.detail) == (State.FAILED, "PACS answered 0x0122 (SOP class not supported)")

    shop.pacs.before = lambda: None
    with shop.database.write() as transaction:
        queue.requeue(transaction, [job.job_id], actor="person/ann", now=shop.clock.now)
    shop.work()

    assert shop.jobs(Stage.DELIVER)[0].state is State.DONE
    assert len(shop.pacs.arrived) == 1


def test_a_destination_taken_out_of_the_settings_is_named(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    while shop.turn(Stage.READ) or shop.turn(Stage.COMPOSE):
        shop.clock.go(seconds=CALM_S)
    with shop.database.write() as transaction:
        transaction.connection.execute(delivery.update().values(destination="old"))

    shop.work()

    job = shop.jobs(Stage.DELIVER)[0]
    assert (job.state, job.detail) == (
        State.FAILED,
        "destination 'old' is not configured: add it, then retry",
    )


def test_a_study_of_two_films_sent_together_has_one_report(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.turn(Stage.READ)
    shop.clock.go(seconds=1)
    shop.accept(films.cr())

    shop.work()

    assert len(shop.pacs.arrived) == 1
    assert [job.stage for job in shop.jobs()] == [Stage.READ, Stage.COMPOSE, Stage.READ, Stage.DELIVER]


def test_a_late_film_yields_a_new_version_that_names_the_one_before(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.work()
    shop.clock.go(minutes=5)
    shop.accept(films.cr())

    shop.work()

    first, second = shop.pacs.reports()
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
    predecessor = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_a_film_read_again_to_the_same_effect_sends_nothing(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.work()
    with shop.database.write() as transaction:
        queue.requeue(transaction, [1], actor="person/ann", now=shop.clock.now)

    shop.work()

    assert shop.reader.times == 2
    assert len(shop.pacs.arrived) == 1
    assert shop.jobs(Stage.COMPOSE)[-1].detail == "nothing new to report"


def test_a_study_waits_for_its_unread_films_and_no_longer_than_the_ceiling(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.accept(films.cr())
    shop.turn(Stage.READ)
    claim_one(shop.database, now=shop.clock.now)  # a reader that never comes back
    shop.work()
    assert shop.pacs.arrived == []

    shop.clock.go(seconds=CEILING_S)
    shop.turn(Stage.COMPOSE)
    shop.turn(Stage.DELIVER)

    assert len(shop.pacs.arrived) == 1


def test_films_of_two_patients_in_one_study_are_left_for_a_person(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.accept(films.cr(changes={"PatientID": "SOMEONE-ELSE"}))

    shop.work()

    (compose,) = shop.jobs(Stage.COMPOSE)
    assert (compose.state, compose.reason) == (State.FAILED, Reason.IDENTITY)
    assert shop.pacs.arrived == []


def test_a_database_that_is_away_while_a_job_ends_costs_a_lease_and_nothing_else(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    write = shop.database.write

    def away() -> NoReturn:
        shop.database.write = write  # type: ignore[method-assign]  # back again after one failure
        raise DatabaseUnavailable("database away: OperationalError")

    def answer(given: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        shop.database.write = away  # type: ignore[method-assign]  # away when the ending is to be recorded
        return prediction(given)

    shop.reader.answer = answer

    with pytest.raises(DatabaseUnavailable):
        shop.turn(Stage.READ)
    shop.clock.go(seconds=LEASE.total_seconds() + 1)
    with shop.database.write() as transaction:
        queue.expire_leases(transaction, now=shop.clock.now)
    shop.reader.answer = prediction
    shop.work()

    assert len(shop.pacs.arrived) == 1


@pytest.mark.parametrize(
    ("condition", "kinds"),
    [
        (Condition(), ["KO", "TID1500"]),
        (Condition(findings=("lung_opacity",)), ["KO", "TID1500"]),
        (Condition(findings=("effusion",)), []),
        (Condition(views=(View.PA,)), []),
    ],
)
def test_results_go_where_the_conditions_are_met_and_are_kept_in_any_case(
    database: Database, tmp_path: Path, condition: Condition, kinds: list[str]
) -> None:
    shop = InProcessNode(database, tmp_path, kinds=(tid1500.REPORT, key_objects.KEY_IMAGES), condition=condition)
    shop.accept(films.dx())

    shop.work()

    sent = sorted("KO" if report.Modality == "KO" else "TID1500" for report in shop.pacs.reports())
    assert sent == kinds
    with database.read() as connection:
        assert "TID1500" in connection.execute(select(result.c.kind)).scalars().all()
