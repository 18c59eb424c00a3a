"""`kill -9` at random moments: every film that got Success has exactly one report in the PACS."""

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from pydicom import Dataset

from cxr_node import config
from cxr_node.domain.identifiers import AeTitle
from cxr_node.ops.single_instance import data_folder_lock
from cxr_node.simulators import modality
from cxr_node.simulators.pacs import SimulatedPacs
from tests.support import films
from tests.support.peers import LOOPBACK, until
from tests.support.running_node import COMMAND, RunningNode, running, settings_file, to_pacs

SHORT_KILLS = 3
LONG_KILLS = 50
LONGEST_LIFE_S = 9.0
PAUSE_S = 0.4


@dataclass(slots=True)
class Load:
    """A modality that sends one new film after another and sends again what got no Success."""

    node: RunningNode | None = None
    stored: list[str] = field(default_factory=list)
    offered: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send until `ended`; a film is not given up before it is stored."""
        while not self.ended.is_set():
            film = films.cr(rows=300, columns=280, seed=self.offered)
            self.offered += 1
            while not self.ended.wait(PAUSE_S):
                if self._sent(film):
                    self.stored.append(film.StudyInstanceUID)
                    break

    def _sent(self, film: Dataset) -> bool:
        if self.node is None or "receive" not in self.node.addresses:
            return False
        (result,) = modality.send(
            [film],
            host=LOOPBACK,
            port=self.node.port,
            called_ae_title=AeTitle("CXRNODE"),
            calling_ae_title=AeTitle("KILLTEST"),
            timeout_s=10,
        )
        return result.stored


@pytest.fixture
def load() -> Iterator[Load]:
    sender = Load()
    thread = threading.Thread(target=sender.run, daemon=True)
    thread.start()
    yield sender
    sender.ended.set()
    thread.join(30)


@pytest.mark.timeout(900)
def test_no_film_is_lost_or_reported_twice_whenever_the_node_is_killed(
    database_url: str, tmp_path: Path, load: Load
) -> None:
    kill_again_and_again(database_url, tmp_path, load, kills=SHORT_KILLS)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_film_is_lost_or_reported_twice_in_fifty_kills(database_url: str, tmp_path: Path, load: Load) -> None:
    kill_again_and_again(database_url, tmp_path, load, kills=LONG_KILLS)


def kill_again_and_again(database_url: str, tmp_path: Path, load: Load, *, kills: int) -> None:
    """Kill a node under load `kills` times, let it come to rest, and hold what it promised against the PACS."""
    chance = random.Random(20260102)  # noqa: S311  # moments, not secrets
    with SimulatedPacs() as pacs:
        path = settings_file(
            tmp_path / "node", database_url=database_url, destinations=(to_pacs(pacs.port, pacs.ae_title),)
        )
        for number in range(kills):
            with running(path, wait_for=("receive",)) as node:
                load.node = node
                # The wait is the moment that is being tested, not a wait for something.
                threading.Event().wait(chance.uniform(0, LONGEST_LIFE_S))
                _kill(node, number)
        with running(path) as node:
            load.node = node
            load.ended.set()
            promised = set(load.stored)
            until(lambda: promised <= pacs.by_study.keys(), what="a report on every film", timeout_s=120)
            node.until_idle()
    assert len(promised) >= kills
    assert [study for study, uids in pacs.by_study.items() if len(uids) != 1] == []
    assert list((tmp_path / "node" / "cxr-node-data" / "archive" / "staging").iterdir()) == []


def _kill(node: RunningNode, number: int) -> None:
    """Kill all of the node, or at every third time its supervisor alone: its roles must then end by themselves."""
    if number % 3 < 2:
        node.kill()
        return
    roles = psutil.Process(node.process.pid).children(recursive=True)
    os.kill(node.process.pid, signal.SIGKILL)
    node.process.wait()
    _, alive = psutil.wait_procs(roles, timeout=15)
    assert alive == []


def test_a_role_that_dies_is_started_again_and_its_film_read(database_url: str, tmp_path: Path) -> None:
    film = films.cr(rows=300, columns=280)
    with SimulatedPacs() as pacs:
        to = to_pacs(pacs.port, pacs.ae_title)
        path = settings_file(tmp_path / "node", database_url=database_url, destinations=(to,))
        with running(path) as node:
            for role in psutil.Process(node.process.pid).children():
                role.kill()
            until(lambda: "read ended with status -9" in node.log.read_text(encoding="utf-8"), what="a death noticed")
            load = Load(node=node)
            until(lambda: load._sent(film), what="Success", timeout_s=60)
            until(lambda: len(pacs.by_study) == 1, what="a report", timeout_s=60)
            assert node.stop() == 0


def test_a_second_node_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    path = settings_file(tmp_path)
    with data_folder_lock(config.load(path).node.data_folder):
        second = subprocess.run(
            [*COMMAND, "run", "--config", path], capture_output=True, text=True, timeout=60, check=False
        )
    assert second.returncode == 1
    assert "another node runs in" in second.stderr
