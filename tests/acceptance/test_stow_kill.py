"""`kill -9` of a node that receives by STOW-RS: what was answered as stored is there, and every film comes in once."""

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset
from sqlalchemy import select

from cxr_node.archive.integrity import is_intact
from cxr_node.config import load
from cxr_node.db.tables import film as film_table
from cxr_node.domain.permissions import Permissions
from cxr_node.ops.tokens import TokenAdministration
from cxr_node.wiring import startup
from cxr_node.wiring.process import Process
from tests.support import films
from tests.support.dicomweb import SENDER
from tests.support.peers import LOOPBACK, free_port, until
from tests.support.running_node import running, settings_file

FILMS, PARTS, SENDERS = 100, 5, 4
KILLED_AT = (10, 40, 70)
"""Numbers of answered films at which the node is killed."""


class Sending(threading.Thread):
    """Sends films in requests of `PARTS`; a request without an answer is sent again."""

    def __init__(self, url: str, token: str, sent: Iterable[Dataset], answered: set[str]) -> None:
        super().__init__(daemon=True)
        self._client = DICOMwebClient(url, headers={"Authorization": f"Bearer {token}"})
        self._left = list(sent)
        self._answered = answered
        self._pause = threading.Event()

    def run(self) -> None:
        """Send until every film is answered as stored."""
        while self._left:
            chunk = self._left[:PARTS]
            try:
                response = self._client.store_instances(chunk)
            except (requests.RequestException, ConnectionError):
                self._pause.wait(0.05)
                continue
            self._answered.update(str(item.ReferencedSOPInstanceUID) for item in response.ReferencedSOPSequence)
            self._left = [one for one in self._left if str(one.SOPInstanceUID) not in self._answered]


def stored(config: Path) -> list[str]:
    """Return the SOP Instance UID of each film whose bytes are archived intact."""
    with Process.open(load(config)) as process:
        with process.database.read() as connection:
            rows = connection.execute(select(film_table)).mappings().all()
        archive = process.archive
        return [row["sop_instance_uid"] for row in rows if is_intact(archive.get(row["archive_key"]), row["digest"])]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_no_film_that_was_answered_is_lost_when_the_node_is_killed(tmp_path: Path) -> None:
    port = free_port()
    section = f'[dicomweb]\nenabled = true\nport = {port}\nsenders = ["{SENDER}"]'
    config = settings_file(tmp_path / "node", more=section)
    with Process.open(load(config)) as process:
        startup.prepare(process)
        token = TokenAdministration(process=process, by="test").add(SENDER, Permissions(), days=1)
    sent = [films.dx(seed=seed, rows=300, columns=200) for seed in range(FILMS)]
    answered: set[str] = set()
    url = f"http://{LOOPBACK}:{port}/dicomweb"
    threads = [Sending(url, token, sent[number::SENDERS], answered) for number in range(SENDERS)]
    for thread in threads:
        thread.start()

    for number in KILLED_AT:
        with running(config, roles=("receive",), wait_for=("receive",)) as node:
            until(lambda: len(answered) >= number, what="the answers", timeout_s=120)  # noqa: B023  # within the loop
            node.kill()
        promised = set(answered)
        assert promised <= set(stored(config))

    with running(config, roles=("receive",), wait_for=("receive",)):
        for thread in threads:
            thread.join(120)
    uids = stored(config)
    assert sorted(uids) == sorted(answered) == sorted(str(one.SOPInstanceUID) for one in sent)
