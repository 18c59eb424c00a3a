"""The constancy check in a whole node: phantoms are read as any film, judged, and leave no trace but their values."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import UID

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.monitoring.constancy import CheckState, Tolerances
from cxr_node.queries import browse, view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records import constancy as rows
from cxr_node.work.periodic import constancy, drift
from cxr_node.work.periodic.constancy import Outcome, Phantom, new_uid
from tests.support import films
from tests.support.node import InProcessNode, Says, prediction
from tests.support.queue import SENDER

MODALITY = replace(SENDER, calling_ae_title=AeTitle("CXRCONSTANCY"))
WITHOUT_CHECKS = ("v1_films", "v1_findings", "v1_measurements", "v1_turnaround")


def phantom(seed: int, *, ratio: float | None = None) -> Phantom:
    out = BytesIO()
    films.dx(seed=seed).save_as(out, enforce_file_format=True)
    return Phantom(seed=seed, content=out.getvalue(), ratio=ratio)


def check(shop: InProcessNode, *, timeout_s: float = 60.0, uid: Callable[[], Uid] = new_uid) -> Outcome:
    """Let the node check itself with two phantoms; it works while the check waits."""

    def send(content: bytes) -> None:
        shop.accept(dcmread(BytesIO(content)), sender=MODALITY)

    def wait(_: float) -> None:
        shop.turn(Stage.READ)
        shop.clock.go(seconds=5)

    return constancy.check(
        shop.database, shop.archive, [phantom(1), phantom(2)],
        send=send, wait=wait, tolerances=Tolerances(), device="cpu", timeout_s=timeout_s, clock=shop.clock, uid=uid,
    )  # fmt: skip


def accept(shop: InProcessNode, outcome: Outcome) -> None:
    with shop.database.write() as transaction:
        assert rows.accept(transaction, outcome.run_id, by="kim", now=shop.clock.now) == 2


def scored(score: float) -> Says:
    def answer(seen: object) -> tuple[object, ...]:
        said = prediction(seen)  # type: ignore[arg-type]  # handed on as it came
        return tuple(replace(each, findings=(replace(each.findings[0], score=score),)) for each in said)

    return Says(answer)  # type: ignore[arg-type]  # of the same form


def test_a_check_is_held_against_what_a_person_accepted(database: Database, tmp_path: Path) -> None:
    shop = InProcessNode(database, tmp_path, reader=scored(0.75))

    first = check(shop)
    accept(shop, first)
    second = check(shop)
    shop.reader.answer = scored(0.77).answer
    third = check(shop)

    assert (first.state, second.state, third.state) == (CheckState.UNACCEPTED, CheckState.PASSED, CheckState.FAILED)
    assert third.detail == "out of tolerance: lung_opacity of phantom 1, lung_opacity of phantom 2"
    with database.read() as connection:
        said = view_rows.rows(connection, VIEWS["v1_constancy"], order="run_id")
    assert [(row["run_id"], row["state"], bool(row["is_within_tolerance"])) for row in said if row["seed"] == 1] == [
        (first.run_id, "unaccepted", False), (second.run_id, "passed", True), (third.run_id, "failed", False),
    ]  # fmt: skip
    assert {row["engine"] for row in said} == {"node, cpu"}


def test_nothing_of_a_check_leaves_or_is_counted(database: Database, tmp_path: Path) -> None:
    shop = InProcessNode(database, tmp_path)
    check(shop)

    shop.work()
    drift.update_daily_statistics(database, now=shop.clock.now)

    assert shop.pacs.arrived == []
    assert {job.state for job in shop.jobs()} == {"done"}
    with database.read() as connection:
        for name in (*WITHOUT_CHECKS, "v1_daily_statistics", "v1_deliveries"):
            assert view_rows.rows(connection, VIEWS[name]) == [], name
        assert browse.studies(connection, before=None, limit=10) == []


def test_a_modality_can_neither_pass_for_a_check_nor_make_one_of_a_patients_film(
    database: Database, tmp_path: Path
) -> None:
    shop = InProcessNode(database, tmp_path)
    named: list[Uid] = []

    def remembered() -> Uid:
        named.append(new_uid())
        return named[-1]

    check(shop, uid=remembered)
    again = films.dx(seed=7, changes={"SOPInstanceUID": named[0], "PatientComments": "a patient's"})
    again.file_meta.MediaStorageSOPInstanceUID = UID(named[0])
    shop.accept(again)  # the check's own UID, which was used once
    shop.accept(films.dx(seed=8), sender=MODALITY)  # the check's AE title
    in_its_study = films.dx(seed=9, changes={"StudyInstanceUID": named[1]})
    shop.accept(in_its_study)
    shop.work()

    with database.read() as connection:
        seen = {row["sop_instance_uid"]: row["state"] for row in view_rows.rows(connection, VIEWS["v1_films"])}
    assert seen == {
        named[0]: "not_analysed", films.dx(seed=8).SOPInstanceUID: "done", in_its_study.SOPInstanceUID: "done",
    }  # fmt: skip
    assert len(shop.pacs.arrived) == 2
    assert not any(str(named[0]) in str(report) for report in shop.pacs.reports())


def test_a_film_that_was_announced_long_ago_is_a_film_as_any(database: Database, tmp_path: Path) -> None:
    shop = InProcessNode(database, tmp_path)
    film = films.dx()
    with database.write() as transaction:
        run_id = rows.start(transaction, now=shop.clock.now)
        rows.announce(transaction, run_id, 1, Uid(str(film.SOPInstanceUID)), now=shop.clock.now)
    shop.clock.go(minutes=16)

    shop.accept(film)
    shop.work()

    assert len(shop.pacs.arrived) == 1


def test_a_check_that_is_not_read_or_not_taken_fails_and_says_why(database: Database, tmp_path: Path) -> None:
    shop = InProcessNode(database, tmp_path)

    def refuse(_: bytes) -> None:
        raise DeliveryRejected("no such AE title")

    late = check(shop, timeout_s=0.0)
    refused = constancy.check(
        database, shop.archive, [phantom(1)], send=refuse, wait=lambda _: None, tolerances=Tolerances(),
        device="cpu", timeout_s=1.0, clock=shop.clock,
    )  # fmt: skip

    assert (late.state, late.detail) == (CheckState.FAILED, "not read within 0 s: phantom 1, 2")
    assert (refused.state, refused.detail) == (CheckState.FAILED, "phantom 1 was not accepted: no such AE title")


def test_phantoms_of_old_checks_are_removed_from_the_archive(database: Database, tmp_path: Path) -> None:
    shop = InProcessNode(database, tmp_path)
    check(shop)
    kept = len(list((tmp_path / "archive").rglob("*.dcm"))) or len(
        [p for p in (tmp_path / "archive").rglob("*") if p.is_file()]
    )
    shop.clock.go(days=8)

    check(shop)

    after = len([path for path in (tmp_path / "archive").rglob("*") if path.is_file()])
    assert kept == after == 2
    assert timedelta(days=7) == constancy._KEEP
