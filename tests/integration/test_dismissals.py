"""Jobs and films that a person dismisses: they end, the others go on, and the log and the audit trail have it."""

import json
from pathlib import Path

import pytest
from pydicom import Dataset
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.reasons import Reason
from cxr_node.queries import ledger
from cxr_node.queries.ledger import Fate
from cxr_node.queue import queue
from cxr_node.records import dismissals
from tests.support import films
from tests.support.deadly import deadly_films
from tests.support.node import InProcessNode
from tests.support.queue import claim_one, store_film
from tests.support.running_node import opened, settings_file

pytestmark = pytest.mark.ci_on_postgresql


def dismiss(node: InProcessNode, *job_ids: int) -> list[int]:
    """Dismiss jobs, as an operator does."""
    with node.database.write() as transaction:
        return dismissals.dismiss_jobs(
            transaction, job_ids, detail="dismissed by person/ann", actor="person/ann", now=node.clock.now
        )


def fates(node: InProcessNode) -> list[tuple[Fate, str]]:
    """Return the fate of each film, and why it has no report."""
    with node.database.read() as connection:
        return [(entry.fate, entry.reason) for entry in ledger.entries(connection)]


def of_one_study(*sent: Dataset) -> list[Dataset]:
    """Return films of one patient and study."""
    for film in sent[1:]:
        film.StudyInstanceUID = sent[0].StudyInstanceUID
        for keyword in ("PatientID", "PatientName", "PatientBirthDate"):
            setattr(film, keyword, sent[0][keyword].value)
    return list(sent)


def test_a_dismissed_film_is_named_in_the_report_of_the_others(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    first, second = of_one_study(films.dx(seed=1), films.dx(seed=2))
    node.accept(first)
    node.accept(second)
    claim_one(database, now=node.clock.now)  # its worker holds it, and hangs

    assert dismiss(node, 1) == [1]
    node.work()

    assert [(job.state, job.reason) for job in node.jobs(Stage.READ)] == [
        (State.DISMISSED, Reason.DISMISSED),
        (State.DONE, None),
    ]
    (report,) = node.pacs.reports()
    assert Reason.DISMISSED.meaning in report.to_json()
    assert str(first.SOPInstanceUID) in report.to_json()
    assert fates(node) == [(Fate.DELIVERED, ""), (Fate.DELIVERED, "")]


def test_what_the_worker_of_a_dismissed_job_records_is_refused(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    node.accept(films.dx())

    def hang(_films: object) -> None:
        dismiss(node, 1)
        raise GiveUp(Reason.MODEL_ERROR, "too late")

    node.reader.answer = hang  # type: ignore[assignment]  # it never answers
    node.turn(Stage.READ)

    (job,) = node.jobs(Stage.READ)
    assert (job.state, job.detail) == (State.DISMISSED, "dismissed by person/ann")


def test_a_lone_dismissed_film_has_no_report_and_is_accounted_for(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    node.accept(films.dx())

    dismiss(node, 1)
    node.work()

    assert node.jobs(Stage.COMPOSE)[0].detail == "a person dismissed its films"
    assert fates(node) == [(Fate.NOT_REPORTED, Reason.DISMISSED)]


@pytest.mark.parametrize(
    ("stage", "reason"), [(Stage.COMPOSE, "composing dismissed"), (Stage.DELIVER, "delivery dismissed")]
)
def test_a_dismissed_job_is_not_run_and_can_be_queued_again(
    database: Database, tmp_path: Path, stage: Stage, reason: str
) -> None:
    node = InProcessNode(database, tmp_path)
    node.accept(films.dx())
    for earlier in list(Stage)[: list(Stage).index(stage)]:
        node.clock.advance(seconds=5)
        node.turn(earlier)
    (job,) = node.jobs(stage)

    dismiss(node, job.job_id)
    node.work()

    assert node.pacs.received == []
    assert fates(node) == [(Fate.NOT_REPORTED, reason)]
    with database.write() as transaction:
        queue.requeue(transaction, [job.job_id], actor="person/ann", now=node.clock.now)
    node.work()
    assert fates(node) == [(Fate.DELIVERED, "")]


def test_the_file_of_a_dismissed_film_is_not_opened_any_more(database: Database, tmp_path: Path) -> None:
    """Its results were composed; now it is dismissed, and of its study a report without its findings follows."""
    node = InProcessNode(database, tmp_path)
    first, second = of_one_study(films.dx(seed=1), films.dx(seed=2, changes={"PatientComments": "ENDS PARSING"}))
    node.accept(first)
    node.accept(second)
    node.work()

    with database.write() as transaction:
        uid = Uid(second.SOPInstanceUID)
        assert dismissals.dismiss_film(transaction, uid, detail="", actor="person/ann", now=node.clock.now) == [2]
    with deadly_films(lambda: pytest.fail("it was opened")):
        node.work()

    before, after = node.pacs.reports()
    assert Reason.DISMISSED.meaning not in before.to_json()
    assert Reason.DISMISSED.meaning in after.to_json()


def test_a_dismissed_film_of_another_patient_is_not_named(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    first, other = films.dx(seed=1), films.dx(seed=2)
    other.StudyInstanceUID, other.PatientID, other.PatientName = first.StudyInstanceUID, "OTHER", "Other^Patient"
    node.accept(first)
    node.accept(other)
    with database.write() as transaction:
        uid = Uid(other.SOPInstanceUID)
        dismissals.dismiss_film(transaction, uid, detail="", actor="person/ann", now=node.clock.now)

    node.work()

    (report,) = node.pacs.reports()
    assert report.PatientID == first.PatientID
    assert Reason.IDENTITY.meaning not in report.to_json()
    assert str(other.SOPInstanceUID) not in report.to_json()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_commands_dismiss_once_and_are_recorded(database: Database, tmp_path: Path) -> None:
    path = settings_file(tmp_path)
    runner = CliRunner()
    assert runner.invoke(app, ["db", "upgrade", "-c", str(path)]).exit_code == 0
    from cxr_node import config

    with opened(config.load(path)) as own:
        store_film(own, "one")
        store_film(own, "two")
        with own.read() as connection:
            uid = ledger.entries(connection)[1].sop_instance_uid

    by_job = runner.invoke(app, ["jobs", "dismiss", "1", "--note", "ends its reader", "-c", str(path), "--json"])
    by_film = runner.invoke(app, ["film", "dismiss", uid, "-c", str(path), "--json"])
    again = runner.invoke(app, ["jobs", "dismiss", "1", "-c", str(path)])

    assert [json.loads(result.stdout) for result in (by_job, by_film)] == [{"dismissed": [1]}, {"dismissed": [2]}]
    assert again.exit_code == 1
    shown = json.loads(runner.invoke(app, ["jobs", "show", "1", "-c", str(path), "--json"]).stdout)
    assert shown["state"] == "dismissed"
    assert shown["detail"].endswith(": ends its reader")
    trail = "".join(file.read_text() for file in (tmp_path / "cxr-node-data" / "audit").rglob("*") if file.is_file())
    assert "jobs/1" in trail
    assert f"films/{uid}" in trail
