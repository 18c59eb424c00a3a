"""A whole node and Orthanc vouch for each other's instances."""

from pathlib import Path

from cxr_node.jobs.states import Leg, State
from tests import films, peers
from tests.running import running, settings_file


def test_a_film_is_vouched_for_to_orthanc_and_its_report_by_orthanc(tmp_path: Path) -> None:
    with peers.orthanc(tmp_path / "orthanc") as orthanc:
        title, port = orthanc.ae_title, orthanc.port
        pacs = {"kind": "cstore", "name": "pacs", "host": peers.LOOPBACK, "port": port, "ae_title": title}
        confirmed = {**pacs, "confirm": "commitment", "confirm_wait_s": 0}
        asker = f'[[receive.askers]]\nae_title = "{title}"\nhost = "{peers.LOOPBACK}"\nport = {port}'
        config = settings_file(tmp_path / "node", destinations=(confirmed,), more=asker)
        with running(config) as node:
            orthanc.send("PUT", "/modalities/us", ["CXRNODE", peers.LOOPBACK, node.port])
            film = films.dx()
            path = films.written(film, tmp_path)
            assert peers.storescu(node.port, path).returncode == 0
            node.until_idle()
            asked = orthanc.send(
                "POST",
                "/modalities/us/storage-commitment",
                {"DicomInstances": [[str(film.SOPClassUID), str(film.SOPInstanceUID)]]},
            )
            node.until_idle()
            told = orthanc.get(f"/storage-commitment/{asked['ID']}")
            (delivered,), (answered,) = node.jobs(Leg.DELIVER), node.jobs(Leg.ANSWER)
    assert (delivered.state, delivered.detail) == (State.DONE, "pacs vouches for it")
    assert (answered.state, answered.detail) == (State.DONE, "1 vouched for, 0 not")
    assert isinstance(told, dict)
    assert told["Status"] == "Success"
