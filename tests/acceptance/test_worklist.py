"""A node in processes performs a step of a worklist: one that is killed takes up its claim, and one retrieves films."""

from pathlib import Path

import pytest
from pydicom import dcmread

from cxr_node.simulators.query_archive import SimulatedArchive
from cxr_node.simulators.web_worklist import SimulatedWebWorklist
from cxr_node.simulators.worklist import AE_TITLE, SimulatedWorklist
from cxr_node.simulators.worklist_steps import COMPLETED, IN_PROGRESS, SCHEDULED, step_uid
from tests.support import films
from tests.support.peers import LOOPBACK, storescp, storescu, until
from tests.support.running_node import running, settings_file, to_pacs

STEP = step_uid(1)


def _worklist(manager: SimulatedWorklist) -> str:
    return (
        f'[ups]\nevery_s = 0.5\n[[ups.worklists]]\nkind = "dicom"\nname = "ris"\n'
        f'host = "{LOOPBACK}"\nport = {manager.port}\n'
        f'ae_title = "{AE_TITLE}"\nworkitem = "110003^DCM^Computer Aided Diagnosis"\n'
    )


@pytest.mark.long
def test_a_killed_node_completes_the_step_that_it_has_claimed(tmp_path: Path) -> None:
    film = films.cr(seed=9)
    with SimulatedWorklist() as manager, storescp(tmp_path / "pacs") as pacs:
        manager.add(STEP, [film])
        to = to_pacs(pacs.port, pacs.ae_title)
        config = settings_file(tmp_path / "node", destinations=(to,), more=_worklist(manager), is_tiny=True)
        with running(config) as node:
            until(lambda: manager.steps[STEP].state == IN_PROGRESS, what="the claim", timeout_s=60)
            node.kill()
        with running(config) as node:
            sent = storescu(node.port, films.written(film, tmp_path), called="CXRNODE")
            assert sent.returncode == 0, sent.stderr
            until(lambda: manager.steps[STEP].state == COMPLETED, what="the completion", timeout_s=120, pause_s=0.1)
        reports = [str(dcmread(path).SOPInstanceUID) for path in pacs.folder.iterdir()]

    assert manager.steps[STEP].states == [SCHEDULED, IN_PROGRESS, COMPLETED]
    assert manager.steps[STEP].outputs == reports


@pytest.mark.long
def test_a_node_retrieves_the_film_of_a_web_workitem_and_completes_it(tmp_path: Path) -> None:
    film = films.cr(seed=9)
    with (
        SimulatedWebWorklist() as manager,
        SimulatedArchive() as archive,
        storescp(tmp_path / "pacs") as pacs,
    ):
        archive.films = [film]
        manager.add(STEP, [film])
        to = to_pacs(pacs.port, pacs.ae_title)
        more = (
            f'[ups]\nevery_s = 0.5\n[[ups.worklists]]\nkind = "dicomweb"\nname = "ris"\nurl = "{manager.url}"\n'
            'workitem = "110003^DCM^Computer Aided Diagnosis"\n[[ups.sources]]\nkind = "dicom"\nname = "archive"\n'
            f'host = "{LOOPBACK}"\nport = {archive.port}\nae_title = "{archive.ae_title}"\n'
        )
        config = settings_file(tmp_path / "node", destinations=(to,), more=more, is_tiny=True)
        with running(config):
            until(lambda: manager.steps[STEP].state == COMPLETED, what="the completion", timeout_s=180, pause_s=0.1)
        reports = [str(dcmread(path).SOPInstanceUID) for path in pacs.folder.iterdir()]

    assert manager.steps[STEP].states == [SCHEDULED, IN_PROGRESS, COMPLETED]
    assert manager.steps[STEP].outputs == reports
    assert archive.sent == 1
