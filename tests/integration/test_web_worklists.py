"""Worklists by UPS-RS: forms of requests, authorization, conflicts without a reason, and answers that are none."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxr_node.config import ConfigurationError, load
from cxr_node.domain.codes import dcm
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.procedure_step import StepAnswer, StepProgress, WorklistFailed, WorklistSession
from cxr_node.ops.checks import ups as checks
from cxr_node.ops.checks.node import Status
from cxr_node.settings.root import Settings
from cxr_node.simulators.web_worklist import ServerForm, SimulatedWebWorklist
from cxr_node.simulators.worklist_steps import CANCELED, COMPLETED, IN_PROGRESS, Mode, step_uid
from tests.support import films
from tests.support.queue import NOON
from tests.support.running_node import settings_file
from tests.support.worklists import web_worklist_at

FILM = films.cr(seed=9)
STEP, OWN, OTHER = step_uid(1), Uid("1.2.3"), Uid("1.2.4")
PROGRESS = StepProgress(
    percent=10, station=dcm("CXR1", "CXR1"), workitem=dcm("110003", "Computer Aided Diagnosis"), started_at=NOON
)
FORMS = {
    "standard": ServerForm(),
    "standard-2019": ServerForm(parameter="transaction-uid"),
    "dcm4chee": ServerForm(requester="CXRNODE", has_array=False),
    "microsoft": ServerForm(parameter=""),
}


@pytest.fixture
def server() -> Iterator[SimulatedWebWorklist]:
    with SimulatedWebWorklist() as running:
        running.add(STEP, [FILM])
        yield running


@pytest.fixture
def session(server: SimulatedWebWorklist) -> Iterator[WorklistSession]:
    with web_worklist_at(server.url).session() as opened:
        yield opened


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_requests_is_what_its_server_takes(form: str) -> None:
    with SimulatedWebWorklist(form=FORMS[form]) as server:
        server.add(STEP, [FILM])
        with web_worklist_at(server.url, requests=form).session() as session:
            assert session.find(5) == [STEP]
            assert session.claim(STEP, OWN) is StepAnswer.DONE
            assert session.update(STEP, OWN, PROGRESS) is StepAnswer.DONE
            answer, details = session.details(STEP)

        assert (answer, server.invalid) == (StepAnswer.DONE, [])
        assert details is not None
        assert details.state == IN_PROGRESS
        assert [one.sop_instance_uid for one in details.inputs] == [FILM.SOPInstanceUID]


@pytest.mark.parametrize("form", ["standard-2019", "dcm4chee", "microsoft"])
def test_another_form_than_the_servers_claims_nothing(form: str, server: SimulatedWebWorklist) -> None:
    with web_worklist_at(server.url, requests=form).session() as session:
        session.claim(STEP, OWN)
        session.update(STEP, OWN, PROGRESS)

    assert server.invalid


@pytest.mark.parametrize("warns", [True, False])
def test_a_conflict_is_explained_by_the_state_of_the_step(
    warns: bool, server: SimulatedWebWorklist, session: WorklistSession
) -> None:
    """A server need not say why it answers 409."""
    server.warns = warns
    assert session.update(STEP, OWN, PROGRESS) is StepAnswer.NOT_CLAIMED
    assert session.end(STEP, OWN, is_completed=True) is StepAnswer.NOT_CLAIMED
    assert session.claim(STEP, OWN) is StepAnswer.DONE
    assert session.claim(STEP, OWN) is StepAnswer.IN_PROGRESS
    assert session.claim(STEP, OTHER) is (StepAnswer.TAKEN if warns else StepAnswer.IN_PROGRESS)
    assert session.update(STEP, OTHER, PROGRESS) is StepAnswer.TAKEN
    assert session.end(STEP, OWN, is_completed=True) is StepAnswer.NOT_MET

    server.steps[STEP].enter(COMPLETED)
    assert session.update(STEP, OWN, PROGRESS) is StepAnswer.ENDED
    assert session.end(STEP, OWN, is_completed=True) is StepAnswer.DONE
    server.steps[STEP].enter(CANCELED)
    assert session.end(STEP, OWN, is_completed=True) is StepAnswer.ENDED
    server.steps.clear()
    assert session.details(STEP) == (StepAnswer.UNKNOWN, None)


def _claim(server: SimulatedWebWorklist) -> None:
    with web_worklist_at(server.url).session() as session:
        session.claim(STEP, OWN)


def _search(server: SimulatedWebWorklist) -> None:
    with web_worklist_at(server.url).session() as session:
        session.find(5)


@pytest.mark.parametrize(("mode", "request_of"), [(Mode.ABORTS, _claim), (Mode.FAILS, _search)])
def test_a_server_that_fails_is_a_failed_worklist(
    mode: Mode, request_of: Callable[[SimulatedWebWorklist], None], server: SimulatedWebWorklist
) -> None:
    server.mode = mode
    with pytest.raises(WorklistFailed):
        request_of(server)


def test_a_server_without_workitems_does_not_lose_a_step(server: SimulatedWebWorklist) -> None:
    """404 for a step is the answer of a wrong address, too."""
    with (
        web_worklist_at(f"{server.web_address}/elsewhere").session() as session,
        pytest.raises(WorklistFailed, match="answered a search with HTTP status 404"),
    ):
        session.details(STEP)


@pytest.mark.parametrize("document", ["{", "[1]", "[[]]", '[{"00741000": 3}]', "[]", "null"])
def test_an_answer_that_is_no_data_set_is_a_failed_worklist(
    document: str, server: SimulatedWebWorklist, session: WorklistSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxr_node.simulators.web_worklist.json.dumps", lambda _document: document)
    with pytest.raises(WorklistFailed, match=r"answered (with no|for a workitem with 0) data sets"):
        session.details(STEP)


def test_the_token_of_the_settings_is_sent(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n")
    with SimulatedWebWorklist(authorization="Bearer abc") as server:
        server.add(STEP, [FILM])
        with web_worklist_at(server.url, auth="bearer", token_file=token).session() as session:
            assert session.find(5) == [STEP]
        with web_worklist_at(server.url).session() as session, pytest.raises(WorklistFailed, match="HTTP status 401"):
            session.find(5)


def test_a_client_secret_gets_the_token_of_a_search(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    with SimulatedWebWorklist(client="Basic bm9kZTpzM2NyZXQ=") as server:
        server.add(STEP, [FILM])
        url = f"{server.web_address}/token"
        worklist = web_worklist_at(
            server.url, auth="oauth2", token_url=url, client_id="node", client_secret_file=secret
        )
        with worklist.session() as session:
            assert session.find(5) == [STEP]
        assert server.tokens == 1


def _settings(folder: Path, **values: str) -> Settings:
    rows = "".join(f"{name} = {value}\n" for name, value in values.items())
    return load(settings_file(folder, more=f'[[ups.worklists]]\nname = "ris"\n{rows}'))


def test_doctor_says_whether_a_server_answers_for_workitems(server: SimulatedWebWorklist, tmp_path: Path) -> None:
    values = {"kind": '"dicomweb"', "workitem": '"110003^DCM^Computer Aided Diagnosis"'}
    (good,) = checks.worklists(_settings(tmp_path / "good", url=f'"{server.url}"', **values))
    (bad,) = checks.worklists(_settings(tmp_path / "bad", url=f'"{server.web_address}/no"', **values))

    assert (good.status, bad.status) == (Status.OK, Status.PROBLEM)
    assert good.message.endswith("answers a search of workitems with HTTP status 204")
    assert bad.message.endswith("answers a search of workitems with HTTP status 404")


def test_a_worklist_without_its_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ups.worklists.*kind.*must be set to"):
        _settings(tmp_path, host='"127.0.0.1"')
