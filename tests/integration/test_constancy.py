"""Constancy check in a whole node: phantoms are read as any film, and leave nothing but their values."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Prediction
from cxr_node.domain.reasons import Reason
from cxr_node.monitoring.constancy import CheckState, Tolerances
from cxr_node.queries import view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records import constancy as rows
from cxr_node.work.periodic import constancy, drift
from cxr_node.work.periodic.constancy import Outcome, Phantom, new_uid
from tests.support import films
from tests.support.node import InProcessNode, StubNetwork
from tests.support.queue import SENDER
from tests.support.stub_prediction import prediction

pytestmark = pytest.mark.ci_on_postgresql

MODALITY = replace(SENDER, calling_ae_title=AeTitle("CXRCONSTANCY"))
WITHOUT_CHECKS = ("v1_films", "v1_findings", "v1_measurements", "v1_turnaround")


def phantom(seed: int, *, ratio: float | None = None) -> Phantom:
    out = BytesIO()
    films.dx(seed=seed).save_as(out, enforce_file_format=True)
    return Phantom(seed=seed, content=out.getvalue(), ratio=ratio)


def check(node: InProcessNode, *, timeout_s: float = 60.0, uid: Callable[[], Uid] = new_uid) -> Outcome:
    """Run a check with two phantoms; the node reads while the check waits."""

    def send(content: bytes) -> None:
        node.accept(dcmread(BytesIO(content)), sender=MODALITY)

    def wait(_: float) -> None:
        node.turn(Stage.READ)
        node.clock.advance(seconds=5)

    return constancy.check(
        node.database, node.archive, [phantom(1), phantom(2)],
        send=send, wait=wait, tolerances=Tolerances(), device="cpu", timeout_s=timeout_s, clock=node.clock, uid=uid,
    )  # fmt: skip


def accept(node: InProcessNode, outcome: Outcome) -> None:
    with node.database.write() as transaction:
        assert rows.accept(transaction, outcome.run_id, by="kim", now=node.clock.now) == 2


def scored(score: float) -> StubNetwork:
    def answer(radiographs: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        return tuple(
            replace(result, findings=(replace(result.findings[0], score=score),)) for result in prediction(radiographs)
        )

    return StubNetwork(answer)


def test_a_check_is_compared_with_the_accepted_baseline(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, reader=scored(0.75))

    first = check(node)
    accept(node, first)
    second = check(node)
    node.reader.answer = scored(0.77).answer
    third = check(node)

    assert (first.state, second.state, third.state) == (CheckState.UNACCEPTED, CheckState.PASSED, CheckState.FAILED)
    assert third.detail == "out of tolerance: lung_opacity of phantom 1, lung_opacity of phantom 2"
    with database.read() as connection:
        values = view_rows.rows(connection, VIEWS["v1_constancy"], order="run_id")
    assert [(row["run_id"], row["state"], bool(row["is_within_tolerance"])) for row in values if row["seed"] == 1] == [
        (first.run_id, "unaccepted", False), (second.run_id, "passed", True), (third.run_id, "failed", False),
    ]  # fmt: skip
    assert {row["engine"] for row in values} == {"node, cpu"}


def test_films_of_a_check_are_neither_delivered_nor_counted(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    check(node)

    node.work()
    drift.update_daily_statistics(database, now=node.clock.now)

    assert node.pacs.received == []
    assert {job.state for job in node.jobs()} == {"done"}
    with database.read() as connection:
        for name in (*WITHOUT_CHECKS, "v1_studies", "v1_daily_statistics", "v1_deliveries"):
            assert view_rows.rows(connection, VIEWS[name]) == [], name


def test_a_modality_cannot_pass_off_a_patients_film_as_a_check(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    uids: list[Uid] = []

    def recorded_uid() -> Uid:
        uids.append(new_uid())
        return uids[-1]

    check(node, uid=recorded_uid)
    again = films.dx(seed=7, changes={"SOPInstanceUID": uids[0], "PatientComments": "a patient's"})
    again.file_meta.MediaStorageSOPInstanceUID = UID(uids[0])
    node.accept(again)  # the check's own UID, which was used once
    node.accept(films.dx(seed=8), sender=MODALITY)  # the check's AE title
    in_its_study = films.dx(seed=9, changes={"StudyInstanceUID": uids[1]})
    node.accept(in_its_study)
    node.work()

    with database.read() as connection:
        states = {row["sop_instance_uid"]: row["state"] for row in view_rows.rows(connection, VIEWS["v1_films"])}
    assert states == {
        uids[0]: "not_analysed", films.dx(seed=8).SOPInstanceUID: "done", in_its_study.SOPInstanceUID: "done",
    }  # fmt: skip
    reports = node.pacs.reports()
    assert {report.StudyInstanceUID for report in reports} == {
        again.StudyInstanceUID, films.dx(seed=8).StudyInstanceUID, uids[1],
    }  # fmt: skip
    assert len(reports) == 3
    (answer,) = [report for report in reports if str(uids[0]) in str(report)]  # another film than the check's
    assert (answer.StudyInstanceUID, answer.PatientID) == (again.StudyInstanceUID, again.PatientID)
    assert Reason.DUPLICATE.meaning in str(answer)
    assert ["'Opacity'" in str(report) for report in reports if report is not answer] == [True, True]
    assert "'Opacity'" not in str(answer)


def test_an_announcement_expires(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    film = films.dx()
    with database.write() as transaction:
        run_id = rows.start(transaction, now=node.clock.now)
        rows.announce(transaction, run_id, 1, Uid(str(film.SOPInstanceUID)), now=node.clock.now)
    node.clock.advance(minutes=16)

    node.accept(film)
    node.work()

    assert len(node.pacs.received) == 1


def test_a_check_not_read_or_not_accepted_fails_with_the_reason(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)

    def refuse(_: bytes) -> None:
        raise DeliveryRejected("no such AE title")

    late = check(node, timeout_s=0.0)
    refused = constancy.check(
        database, node.archive, [phantom(1)], send=refuse, wait=lambda _: None, tolerances=Tolerances(),
        device="cpu", timeout_s=1.0, clock=node.clock,
    )  # fmt: skip

    assert (late.state, late.detail) == (CheckState.FAILED, "not read within 0 s: phantom 1, 2")
    assert (refused.state, refused.detail) == (CheckState.FAILED, "phantom 1 was not accepted: no such AE title")


def test_phantoms_of_old_checks_are_removed_from_the_archive(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    check(node)
    before = len([path for path in (tmp_path / "archive").rglob("*") if path.is_file()])
    node.clock.advance(days=8)

    check(node)

    after = len([path for path in (tmp_path / "archive").rglob("*") if path.is_file()])
    assert before == after == 2
    assert timedelta(days=7) == constancy._KEEP
