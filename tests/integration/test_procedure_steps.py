"""Unified Procedure Steps: from the worklist of a strict manager to the final state."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.audit.message import AuditMessage
from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db.database import Database
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.procedure_step import RetrievalPlace, StepAnswer, WorklistFailed
from cxr_node.ops.alarms import active_alarms
from cxr_node.ops.checks import ups as checks
from cxr_node.ops.checks.node import Status
from cxr_node.queries import view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queries.worklist_steps import step_detail
from cxr_node.settings.root import Settings
from cxr_node.simulators.clock import SimulatedClock
from cxr_node.simulators.worklist import AE_TITLE, SimulatedWorklist
from cxr_node.simulators.worklist_steps import (
    CANCELED,
    COMPLETED,
    IN_PROGRESS,
    OTHER_WORKITEM,
    SCHEDULED,
    WORKITEM,
    Mode,
    step_uid,
)
from cxr_node.wiring import startup
from cxr_node.wiring.process import Process
from cxr_node.wiring.ups import procedure_steps
from cxr_node.work.periodic.input_retrieval import InputRetrieval
from cxr_node.work.periodic.procedure_steps import ProcedureSteps
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.queue import NOON
from tests.support.running_node import settings_file
from tests.support.web import PEOPLE, served_page
from tests.support.worklists import MANAGERS, Manager, worklist_at, worklist_of

pytestmark = pytest.mark.ci_on_postgresql


FILM = films.cr(seed=9)
STEP = step_uid(1)
STATION = Code(value="CXR1", scheme_designator="99TEST", meaning="CXR1")
WAIT = timedelta(minutes=10)


BY_EITHER = pytest.mark.parametrize(
    "manager", ["dimse", pytest.param("rs", marks=pytest.mark.ci_on_postgresql)], indirect=True
)
"""By DIMSE and by UPS-RS, whose requests do not depend on the database; other tests are by DIMSE alone."""


@pytest.fixture
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    with MANAGERS[getattr(request, "param", "dimse")]() as running:
        yield running


@pytest.fixture
def node(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path / "node")


def performer(node: InProcessNode, database: Database, manager: Manager | int) -> ProcedureSteps:
    """Return the performer of a node, for the worklist of a manager, or of the one at a port."""
    worklists = [worklist_at(manager) if isinstance(manager, int) else worklist_of(manager)]
    return ProcedureSteps(
        database=database,
        worklists=lambda: worklists,
        retrievals=lambda: {node.pacs.name: RetrievalPlace(ae_title=AeTitle("PACS"))},
        station=STATION,
        clock=lambda: node.clock.now,
        maximum_steps=8,
        input_wait=WAIT,
        retrieval=InputRetrieval(clock=lambda: node.clock.now),
    )


def rows(database: Database) -> list[dict[str, object]]:
    """Return the rows of the view."""
    with database.read() as connection:
        return [dict(row) for row in view_rows.rows(connection, VIEWS["v1_worklist_steps"])]


def row(database: Database) -> dict[str, object]:
    """Return the one row of the view."""
    (only,) = rows(database)
    return only


@BY_EITHER
def test_a_step_is_claimed_performed_and_completed(database: Database, node: InProcessNode, manager: Manager) -> None:
    manager.add(STEP, [FILM])
    steps = performer(node, database, manager)

    steps.run()
    assert manager.states() == {STEP: IN_PROGRESS}
    assert (row(database)["state"], row(database)["detail"]) == ("in_progress", "films that have not come: 1")
    node.accept(FILM)
    steps.run()
    assert manager.states() == {STEP: IN_PROGRESS}
    node.work()
    steps.run()

    step = manager.steps[STEP]
    assert step.states == [SCHEDULED, IN_PROGRESS, COMPLETED]
    assert step.progress == ["10", "30", "90", "100"]
    (report,) = node.pacs.reports()
    assert step.outputs == [str(report.SOPInstanceUID)]
    (item,) = step.performed.OutputInformationSequence
    assert str(item.StudyInstanceUID) == str(FILM.StudyInstanceUID)
    assert [str(place.RetrieveAETitle) for place in item.DICOMRetrievalSequence] == ["PACS"]
    assert str(step.performed.PerformedStationNameCodeSequence[0].CodeValue) == "CXR1"
    assert str(step.performed.PerformedWorkitemCodeSequence[0].CodeValue) == WORKITEM.value
    assert (row(database)["state"], row(database)["progress"]) == ("completed", 90)
    assert row(database)["study_instance_uid"] == str(FILM.StudyInstanceUID)


def test_a_step_has_the_events_of_its_study(
    database: Database, node: InProcessNode, manager: SimulatedWorklist
) -> None:
    manager.add(STEP, [FILM])
    steps = performer(node, database, manager)
    steps.run()
    node.accept(FILM)
    node.work()
    steps.run()

    with database.read() as connection:
        (number,) = [one["step_id"] for one in view_rows.rows(connection, VIEWS["v1_worklist_steps"])]
        shown = step_detail(connection, number, sees_films=True)
        hidden = step_detail(connection, number, sees_films=False)

    assert shown is not None
    assert hidden is not None
    film_id, result_id = shown["films"][0]["film_id"], shown["results"][0]["result_id"]
    assert [event["event"] for event in shown["events"]] == [
        "claim requested",
        "claim granted by the manager",
        f"film {film_id} received",
        f"result {result_id} (TID1500, version 1) composed",
        f"result {result_id} (TID1500) delivered to {node.pacs.name}",
        "completed",
    ]
    assert [event["event"] for event in hidden["events"]][-1] == "completed"
    assert not hidden["films"]
    assert not [name for name in hidden["step"] if name.endswith("_uid")]


def test_a_film_that_is_not_analysed_completes_the_step(
    database: Database, node: InProcessNode, manager: SimulatedWorklist
) -> None:
    """The report states why, and is the output."""
    film = films.dx(seed=2, changes={"ViewPosition": "LL"})
    manager.add(STEP, [film])
    node.accept(film)
    node.work()

    performer(node, database, manager).run()

    (report,) = node.pacs.reports()
    assert manager.steps[STEP].states == [SCHEDULED, IN_PROGRESS, COMPLETED]
    assert manager.steps[STEP].outputs == [str(report.SOPInstanceUID)]


@BY_EITHER
def test_a_step_whose_films_do_not_come_is_canceled(database: Database, node: InProcessNode, manager: Manager) -> None:
    manager.add(STEP, [FILM, films.cr(seed=3)])
    node.accept(FILM)
    node.work()
    steps = performer(node, database, manager)

    steps.run()
    node.clock.advance(seconds=WAIT.total_seconds() - 1)
    steps.run()
    assert manager.states() == {STEP: IN_PROGRESS}
    node.clock.advance(seconds=1)
    steps.run()

    step = manager.steps[STEP]
    assert step.state == CANCELED
    (code,) = step.progress_information.ProcedureStepDiscontinuationReasonCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("110523", "DCM")
    assert step.outputs == [str(report.SOPInstanceUID) for report in node.pacs.reports()]
    assert row(database)["detail"] == "films that have not come in time: 1"
    assert (row(database)["reason"], row(database)["held_films"], row(database)["films"]) == ("110523", 1, 2)


def test_a_step_without_a_film_is_canceled(database: Database, node: InProcessNode, manager: SimulatedWorklist) -> None:
    document = films.cr(seed=4)
    document.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    manager.add(STEP, [document])

    performer(node, database, manager).run()

    assert manager.steps[STEP].state == CANCELED
    assert row(database)["reason"] == "110522"


def test_a_step_whose_result_is_rejected_for_good_is_canceled(
    database: Database, node: InProcessNode, manager: SimulatedWorklist
) -> None:
    def refuse() -> None:
        raise DeliveryRejected("no")

    manager.add(STEP, [FILM])
    node.pacs.before_send = refuse
    node.accept(FILM)
    node.work()

    performer(node, database, manager).run()

    assert manager.steps[STEP].state == CANCELED
    assert manager.steps[STEP].outputs == []
    assert (row(database)["reason"], row(database)["detail"]) == ("110513", "films are not reported: delivery failed")


@BY_EITHER
@pytest.mark.parametrize("answers_with_c302", [False, True])
def test_a_step_that_another_claimed_first_is_left_to_it(
    answers_with_c302: bool, database: Database, node: InProcessNode, manager: Manager
) -> None:
    """Of C302 the Transaction UID decides, as it may be the answer to a repeated claim of this node."""
    manager.answers_claims_of_others_with_c302 = answers_with_c302

    def claim_first(request: str, uid: str) -> None:
        if request == "N-ACTION IN PROGRESS" and manager.steps[uid].state == SCHEDULED and uid == STEP:
            manager.steps[uid].transaction_uid = "1.2.3"
            manager.steps[uid].enter(IN_PROGRESS)

    manager.answer = claim_first
    manager.add(STEP, [FILM], priority="HIGH")
    manager.add(step_uid(2), [FILM])

    performer(node, database, manager).run()

    assert manager.steps[STEP].transaction_uid == "1.2.3"
    assert manager.steps[STEP].progress == []
    assert {one["step_uid"]: one["state"] for one in rows(database)} == {STEP: "refused", step_uid(2): "in_progress"}


@BY_EITHER
@pytest.mark.parametrize(("state", "detail"), [(CANCELED, "CANCELED"), (COMPLETED, "COMPLETED")])
def test_a_step_that_was_ended_at_the_manager_is_lost(
    state: str, detail: str, database: Database, node: InProcessNode, manager: Manager
) -> None:
    manager.add(STEP, [FILM])
    steps = performer(node, database, manager)
    steps.run()

    manager.steps[STEP].enter(state)
    steps.run()
    steps.run()

    assert (row(database)["state"], row(database)["detail"]) == ("lost", f"its state at the manager is {detail}")
    assert manager.requests[-1][0] == "N-GET"


@BY_EITHER
def test_a_step_that_vanished_is_lost(database: Database, node: InProcessNode, manager: Manager) -> None:
    manager.add(STEP, [FILM])
    steps = performer(node, database, manager)
    steps.run()

    manager.steps.clear()
    steps.run()

    assert row(database)["state"] == "lost"


@BY_EITHER
def test_a_step_that_is_scheduled_again_is_claimed_again(
    database: Database, node: InProcessNode, manager: Manager
) -> None:
    """As after a restore of the manager from a backup."""
    manager.add(STEP, [FILM])
    steps = performer(node, database, manager)
    steps.run()
    manager.add(STEP, [FILM])
    node.accept(FILM)
    node.work()

    steps.run()

    assert manager.steps[STEP].states == [SCHEDULED, IN_PROGRESS, COMPLETED]


def test_a_refused_claim_is_tried_again_when_the_step_is_offered_again(
    database: Database, node: InProcessNode, manager: SimulatedWorklist
) -> None:
    manager.add(STEP, [FILM])
    manager.answer = lambda request, _uid: 0xC301 if request.startswith("N-ACTION") else None
    steps = performer(node, database, manager)
    steps.run()
    manager.answer = lambda _request, _uid: None
    steps.run()
    assert manager.states() == {STEP: SCHEDULED}

    node.clock.advance(seconds=60)
    steps.run()

    assert manager.states() == {STEP: IN_PROGRESS}
    assert row(database)["state"] == "in_progress"


@BY_EITHER
@pytest.mark.parametrize("request_name", ["N-ACTION IN PROGRESS", "N-GET", "N-SET", "N-ACTION COMPLETED"])
@pytest.mark.parametrize("status", [0x0110, 0xC303])
def test_a_request_that_fails_is_sent_again(
    status: int, request_name: str, database: Database, node: InProcessNode, manager: Manager
) -> None:
    """Another step is performed meanwhile."""
    manager.add(STEP, [FILM], priority="HIGH")
    manager.add(step_uid(2), [FILM])
    node.accept(FILM)
    node.work()
    manager.answer = lambda request, uid: status if request == request_name and uid == STEP else None
    steps = performer(node, database, manager)

    steps.run()
    assert manager.steps[STEP].state != COMPLETED
    assert manager.steps[step_uid(2)].state == COMPLETED
    manager.answer = lambda _request, _uid: None
    steps.run()

    assert manager.steps[STEP].states == [SCHEDULED, IN_PROGRESS, COMPLETED]


@BY_EITHER
def test_a_step_that_the_manager_will_not_complete_is_canceled(
    database: Database, node: InProcessNode, manager: Manager
) -> None:
    manager.add(STEP, [FILM])
    node.accept(FILM)
    node.work()
    manager.answer = lambda request, _uid: 0xC304 if request == "N-ACTION COMPLETED" else None

    performer(node, database, manager).run()

    assert manager.steps[STEP].states == [SCHEDULED, IN_PROGRESS, CANCELED]
    assert row(database)["state"] == "canceled"


@BY_EITHER
@pytest.mark.parametrize(
    ("mode", "state", "detail"),
    [
        (Mode.CLAIMS_ONLY_IN_WORDS, "in_progress", "the manager granted IN PROGRESS, and states SCHEDULED"),
        (Mode.SETS_ONLY_IN_WORDS, "completing", "the manager granted the outputs, and states fewer"),
        (Mode.ENDS_ONLY_IN_WORDS, "completing", "the manager granted COMPLETED, and states IN PROGRESS"),
    ],
)
def test_a_step_stays_open_until_the_manager_states_what_it_granted(
    mode: Mode, state: str, detail: str, database: Database, node: InProcessNode, manager: Manager
) -> None:
    """The worklist is a failure meanwhile; another step is claimed all the same."""
    manager.add(STEP, [FILM], priority="HIGH")
    manager.add(step_uid(2), [films.cr(seed=3)])
    node.accept(FILM)
    node.work()
    steps = performer(node, database, manager)

    manager.mode = mode
    for _ in range(3):
        with pytest.raises(WorklistFailed, match=f"worklist ris: step 1: {detail}"):
            steps.run()
    stated = {one["step_uid"]: (one["state"], one["detail"]) for one in rows(database)}
    assert stated[STEP] == (state, detail)
    assert len(stated) == 2
    manager.mode = Mode.RIGHT
    steps.run()

    assert manager.steps[STEP].states == [SCHEDULED, IN_PROGRESS, COMPLETED]
    assert manager.steps[STEP].outputs
    assert ("completed", "") in [(one["state"], one["detail"]) for one in rows(database)]


def test_a_cancelation_that_is_not_carried_out_is_requested_again(
    database: Database, node: InProcessNode, manager: SimulatedWorklist
) -> None:
    manager.add(STEP)
    manager.mode = Mode.ENDS_ONLY_IN_WORDS
    steps = performer(node, database, manager)
    reason = "none of its 0 input instances is a chest film"

    with pytest.raises(WorklistFailed, match="granted CANCELED, and states IN PROGRESS"):
        steps.run()
    assert row(database)["detail"] == f"{reason}; the manager granted CANCELED, and states IN PROGRESS"
    manager.mode = Mode.RIGHT
    steps.run()

    assert manager.steps[STEP].states == [SCHEDULED, IN_PROGRESS, CANCELED]
    assert (row(database)["state"], row(database)["detail"]) == ("canceled", reason)


def test_a_step_that_the_manager_removes_at_its_end_is_completed(
    database: Database, node: InProcessNode, manager: SimulatedWorklist
) -> None:
    """A manager need not keep a step that has ended (PS3.4 section CC.2.1)."""
    manager.add(STEP, [FILM])
    node.accept(FILM)
    node.work()
    manager.answer = lambda request, uid: (
        0xC307 if request == "N-GET" and manager.steps[uid].state == COMPLETED else None
    )

    performer(node, database, manager).run()

    assert row(database)["state"] == "completed"


def test_a_manager_that_is_away_is_asked_again(
    database: Database, node: InProcessNode, manager: SimulatedWorklist
) -> None:
    manager.add(STEP, [FILM])
    steps = performer(node, database, manager)
    steps.run()

    with pytest.raises(WorklistFailed, match="worklist ris: no association with WORKLIST"):
        performer(node, database, 9).run()
    node.accept(FILM)
    node.work()
    steps.run()

    assert manager.steps[STEP].states == [SCHEDULED, IN_PROGRESS, COMPLETED]


def test_claimed_steps_of_a_worklist_that_was_removed_are_a_failure(
    database: Database, node: InProcessNode, manager: SimulatedWorklist
) -> None:
    manager.add(STEP, [FILM])
    steps = performer(node, database, manager)
    steps.run()

    steps.worklists = list
    with pytest.raises(WorklistFailed, match="worklist ris is not in the settings, and 1 of its steps are claimed"):
        steps.run()


@BY_EITHER
@pytest.mark.parametrize("matches_keys", [True, False])
def test_only_ready_steps_of_the_workitem_are_claimed_by_priority(
    matches_keys: bool, database: Database, node: InProcessNode, manager: Manager
) -> None:
    """Also if the manager returns all steps whatever it is asked for."""
    manager.matches_keys = matches_keys
    manager.add(step_uid(1), [FILM], workitem=OTHER_WORKITEM)
    manager.add(step_uid(2), [FILM], readiness="INCOMPLETE")
    manager.add(step_uid(3), [FILM], priority="LOW")
    manager.add(step_uid(4), [FILM])
    manager.add(step_uid(5), [FILM], priority="HIGH")
    steps = performer(node, database, manager)
    steps.maximum_steps = 2

    steps.run()
    steps.run()

    assert [one[1] for one in manager.requests if one[0] == "N-ACTION IN PROGRESS"] == [step_uid(5), step_uid(4)]


def test_a_step_claimed_more_than_a_day_ago_is_an_alarm(
    database: Database, node: InProcessNode, manager: SimulatedWorklist, tmp_path: Path
) -> None:
    manager.add(STEP, [FILM])
    performer(node, database, manager).run()
    settings, claimed_at = load(settings_file(tmp_path / "settings")), node.clock.now

    before = active_alarms(settings, database, now=claimed_at + timedelta(days=1))
    after = active_alarms(settings, database, now=claimed_at + timedelta(days=1, seconds=1))

    assert "worklist ris" not in before
    assert after["worklist ris"].startswith("1 procedure step claimed more than a day ago")


def test_a_manager_with_more_steps_than_asked_for_is_stopped(manager: SimulatedWorklist) -> None:
    for number in range(20):
        manager.add(step_uid(number), [FILM])

    with worklist_at(manager.port).session() as session:
        assert len(session.find(3)) == 3
        assert session.claim(step_uid(0), Uid("1.2.3")) is StepAnswer.DONE


def _settings(folder: Path, port: int) -> Settings:
    worklist = (
        f'[[ups.worklists]]\nkind = "dicom"\nname = "ris"\nhost = "127.0.0.1"\nport = {port}\nae_title = "{AE_TITLE}"\n'
        'workitem = "110003^DCM^Computer Aided Diagnosis"\n'
    )
    return load(settings_file(folder, more=worklist))


def test_doctor_says_whether_a_worklist_accepts_ups_pull(manager: SimulatedWorklist, tmp_path: Path) -> None:
    (good,) = checks.worklists(_settings(tmp_path / "good", manager.port))
    (bad,) = checks.worklists(_settings(tmp_path / "bad", 9))

    assert (good.status, good.message) == (Status.OK, f"WORKLIST at 127.0.0.1 port {manager.port} accepts UPS Pull")
    assert bad.status is Status.PROBLEM


def test_status_page_and_alarms_state_since_when_a_worklist_is_silent(
    manager: SimulatedWorklist, tmp_path: Path
) -> None:
    manager.add(STEP, [FILM])
    worklist = f'[[ups.worklists]]\nkind = "dicom"\nname = "ris"\nhost = "127.0.0.1"\nport = {manager.port}\n'
    worklist += f'ae_title = "{AE_TITLE}"\n'
    more = f'{PEOPLE}\n{worklist}workitem = "110003^DCM^Computer Aided Diagnosis"\n'
    with served_page(tmp_path / "node", more=more) as page:
        with Process.open(load(page.config)) as process:
            steps = procedure_steps(process)
            steps.run()
            answering = CliRunner().invoke(app, ["status", "--config", str(page.config)]).output
            manager.stop()
            for _ in range(2):
                with pytest.raises(WorklistFailed):
                    steps.run()
        with page.visited_by("admin") as client:
            hidden = client.get("/steps/1").text
        with page.visited_by("reader") as client:
            unlocked = client.get("/steps/1").text
        with page.visited_by("op") as client:
            shown, resource = client.get("/steps/1").text, client.get("/api/v1/steps/1").json()
            absent = client.get("/steps/99").status_code
            operations = client.get("/").text.partition('id="worklists"')[2]
            listed = client.get("/steps?since=all").text
            (row,) = client.get("/api/v1/tables/steps?since=all").json()["rows"]
    status = CliRunner().invoke(app, ["status", "--config", str(page.config)]).output

    transaction_uid = manager.steps[STEP].transaction_uid
    assert "Step 1 of ris" in hidden
    assert "claim granted by the manager" in hidden
    assert not [uid for uid in (STEP, FILM.StudyInstanceUID, transaction_uid) if uid in hidden]
    assert STEP in unlocked
    assert transaction_uid not in unlocked
    assert transaction_uid in shown
    assert [event["event"] for event in resource["events"]] == ["claim requested", "claim granted by the manager"]
    assert (resource["step"]["step_uid"], resource["transaction_uid"]) == (STEP, transaction_uid)
    assert absent == 404
    assert 'href="/steps/1"' in listed
    assert "answers for" in answering
    assert "no answer" in operations
    assert "no association with WORKLIST" in operations
    assert "in_progress" in listed
    assert (row["worklist"], row["state"]) == ("ris", "in_progress")
    assert "amber: worklist manager ris: no answer since" in " ".join(status.split())
    assert "1 claimed step cannot be updated" in " ".join(status.split())


def test_queries_and_changes_of_state_are_audited(manager: SimulatedWorklist, tmp_path: Path) -> None:
    manager.add(STEP, [FILM])
    messages: list[AuditMessage] = []
    with Process.open(_settings(tmp_path, manager.port), clock=SimulatedClock(NOON)) as process:
        startup.prepare(process)
        audited = replace(process, audit=replace(process.audit, record=messages.append))
        steps = procedure_steps(audited)
        steps.run()
        first = list(messages)
        steps.run()
        steps.run()
        assert messages == first  # two queries found nothing, as expected
        manager.mode = Mode.QUERIES_FAIL
        for _ in range(2):
            with pytest.raises(WorklistFailed):
                steps.run()

    assert [message.event.meaning for message in messages] == ["Query", "Procedure Record", "Query"]
    assert "0xC001" in messages[2].description
    (procedure,) = messages[1].objects
    assert (procedure.object_id, procedure.details) == (STEP, (("Procedure Step State", b"IN PROGRESS"),))
    assert messages[1].participants[1].ae_title == AE_TITLE
