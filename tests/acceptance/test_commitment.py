"""Storage commitment between the node and Orthanc in both directions, with its trace."""

from itertools import pairwise
from pathlib import Path

import pytest

from cxr_node.db.states import Stage, State
from cxr_node.simulators.program import ROLES
from tests.support import films, peers
from tests.support.otlp_collector import collector
from tests.support.peers import until
from tests.support.running_node import running, settings_file


@pytest.mark.ci(
    short="tests/integration/test_commitment_requester.py::test_orthanc_confirms_on_an_association_of_its_own"
)
def test_orthanc_gets_commitment_for_a_film_and_gives_it_for_a_report(tmp_path: Path) -> None:
    with peers.orthanc(tmp_path / "orthanc") as orthanc, collector() as traces:
        title, port = orthanc.ae_title, orthanc.port
        pacs = {
            "kind": "cstore",
            "name": "pacs",
            "host": peers.LOOPBACK,
            "port": port,
            "ae_title": title,
            "results": ["report"],
        }
        confirmed = {**pacs, "confirm": "commitment", "confirm_wait_s": 0}
        scu = f'[[receive.commitment_peers]]\nae_title = "{title}"\nhost = "{peers.LOOPBACK}"\nport = {port}'
        traced = f'[trace]\nendpoint = "{traces.endpoint}"\nevery_s = 0.2'
        config = settings_file(tmp_path / "node", destinations=(confirmed,), more=f"{scu}\n{traced}", is_tiny=True)
        with running(config, roles=(*ROLES, "admin"), wait_for=(*ROLES, "admin")) as node:
            orthanc.send("PUT", "/modalities/us", ["CXRNODE", peers.LOOPBACK, node.port])
            film = films.dx()
            path = films.written(film, tmp_path)
            assert peers.storescu(node.port, path).returncode == 0
            node.until_idle()
            response = orthanc.send(
                "POST",
                "/modalities/us/storage-commitment",
                {"DicomInstances": [[str(film.SOPClassUID), str(film.SOPInstanceUID)]]},
            )
            node.until_idle()
            result = orthanc.get(f"/storage-commitment/{response['ID']}")
            until(lambda: "confirm" in {span.name for span in traces.spans}, what="the end of the trace")
            (delivered,), (answered,) = node.jobs(Stage.DELIVER), node.jobs(Stage.COMMIT)
    assert (delivered.state, delivered.detail) == (State.DONE, "committed by pacs")
    assert (answered.state, answered.detail) == (State.DONE, "1 committed, 0 not")
    assert isinstance(result, dict)
    assert result["Status"] == "Success"
    assert len({span.trace_id for span in traces.spans}) == 1
    last = {span.name: span for span in traces.spans}
    for before, name in pairwise(("accept", "read", "compose", "deliver", "confirm")):
        assert last[name].parent_span_id == last[before].span_id, name
        assert last[name].start_time_unix_nano >= last[before].end_time_unix_nano, name
    assert last["accept"].end_time_unix_nano > last["accept"].start_time_unix_nano
