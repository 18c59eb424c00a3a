"""Orthanc's DICOMweb plug-in as client of a node: it stores films, in chunks and with a length, and fetches a study."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support import films, peers
from tests.support.dicomweb import Entrance, entrance, file_of

PLUGIN = Path("/usr/lib/orthanc/libOrthancDicomWeb.so.1.7")


@contextmanager
def orthanc(web: Entrance, token: str, folder: Path, *, in_chunks: bool = True) -> Iterator[httpx.Client]:
    """Run an Orthanc that knows the node, and that sends this token; the value is a client of its REST API."""
    plugin = PLUGIN if PLUGIN.is_file() else peers.missing("Orthanc's DICOMweb plug-in", "orthanc-dicomweb")
    headers = {"Authorization": f"Bearer {token}"}
    server = {"Url": web.url, "HttpHeaders": headers, "ChunkedTransfers": in_chunks}
    settings = {"Plugins": [str(plugin)], "DicomWeb": {"Enable": True, "Servers": {"node": server}}}
    with (
        peers.orthanc(folder, settings=settings) as running,
        httpx.Client(base_url=f"http://{peers.LOOPBACK}:{running.http_port}", timeout=60, trust_env=False) as client,
    ):
        yield client


@pytest.mark.parametrize("in_chunks", [True, False])
def test_orthanc_stores_its_films_at_the_node(in_chunks: bool, tmp_path: Path) -> None:
    data_sets = [films.dx(seed=seed, rows=300, columns=200) for seed in (1, 2)]
    with (
        entrance(tmp_path / "node") as web,
        orthanc(web, web.token, tmp_path / "orthanc", in_chunks=in_chunks) as client,
    ):
        identifiers = [client.post("/instances", content=file_of(data_set)).json()["ID"] for data_set in data_sets]
        answer = client.post("/dicom-web/servers/node/stow", content=json.dumps({"Resources": identifiers}))

        assert answer.status_code == 200, answer.text
        assert web.stored().keys() == {str(data_set.SOPInstanceUID) for data_set in data_sets}
        assert web.events == []


def test_orthanc_fetches_a_study_from_the_node(tmp_path: Path) -> None:
    data_set = films.dx(seed=3)
    with entrance(tmp_path / "node") as web:
        assert web.store(file_of(data_set)).status_code == 200
        token = web.token_of("viewer", sees_films=True, sees_identifiers=True)
        with orthanc(web, token, tmp_path / "orthanc") as client:
            resources = [{"Study": str(data_set.StudyInstanceUID)}]
            answer = client.post("/dicom-web/servers/node/retrieve", content=json.dumps({"Resources": resources}))
            assert answer.status_code == 200, answer.text
            (fetched,) = client.get("/instances").json()
            content = client.get(f"/instances/{fetched}/file").content

    sent = file_of(data_set)
    assert content[films.data_set_offset(content) :] == sent[films.data_set_offset(sent) :]
