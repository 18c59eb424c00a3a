"""`kill -9` at random moments: every film with Success has exactly one report in the PACS."""

import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from cxr_node import config
from cxr_node.faults.films import Films
from cxr_node.faults.load import LoadGenerator, send
from cxr_node.faults.load import running as sending
from cxr_node.ops.single_instance import data_folder_lock
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.program import COMMAND
from tests.support.peers import until
from tests.support.running_node import RunningNode, running, settings_file, to_pacs

SHORT_KILLS = 3
LONG_KILLS = 50
LONGEST_LIFE_S = 12.0
PAUSE_S = 0.4
MOST_FILMS = 10_000


@pytest.mark.ci(
    short="tests/acceptance/faults/test_faults_suite.py::test_no_film_is_lost_or_reported_twice_in_the_short_form[kills]"
)
@pytest.mark.long_on_postgresql
@pytest.mark.timeout(900)
def test_no_film_is_lost_or_reported_twice_after_kills(database_url: str, tmp_path: Path) -> None:
    kill_repeatedly(database_url, tmp_path, kills=SHORT_KILLS)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_film_is_lost_or_reported_twice_in_fifty_kills(database_url: str, tmp_path: Path) -> None:
    kill_repeatedly(database_url, tmp_path, kills=LONG_KILLS)


def kill_repeatedly(database_url: str, tmp_path: Path, *, kills: int) -> None:
    """Kill a node under load `kills` times, let the last one finish, and compare Success with reports in the PACS."""
    rng = random.Random(20260102)  # noqa: S311  # not for secrets
    load = LoadGenerator(films=Films(seed=1), max_in_flight=MOST_FILMS, pause_s=PAUSE_S)
    with SimulatedPacs() as pacs, sending(load):
        to = to_pacs(pacs.port, pacs.ae_title)
        path = settings_file(tmp_path / "node", database_url=database_url, destinations=(to,), is_tiny=True)
        for number in range(kills):
            with running(path, wait_for=("receive",)) as node:
                load.port = node.port
                # The random time of the kill is under test.
                threading.Event().wait(rng.uniform(0, LONGEST_LIFE_S))
                _kill(node, number)
                load.port = 0
        with running(path) as node:
            load.port = node.port
            load.stopping.set()
            promised = set(load.stored)
            until(lambda: promised <= pacs.by_study.keys(), what="a report on every film", timeout_s=120)
            node.until_idle()
    assert len(promised) >= kills
    assert [study for study, uids in pacs.by_study.items() if len(uids) != 1] == []
    assert list((tmp_path / "node" / "cxr-node-data" / "archive" / "staging").iterdir()) == []


def _kill(node: RunningNode, number: int) -> None:
    """Kill all processes, or every third time the supervisor alone: its roles must then end by themselves."""
    if number % 3 < 2:
        node.kill()
        return
    roles = psutil.Process(node.process.pid).children(recursive=True)
    os.kill(node.process.pid, signal.SIGKILL)
    node.process.wait()
    _, alive = psutil.wait_procs(roles, timeout=15)
    assert alive == []


def test_a_role_that_dies_is_restarted_and_its_film_read(tmp_path: Path) -> None:
    film = Films(seed=1).make(0)
    with SimulatedPacs() as pacs:
        to = to_pacs(pacs.port, pacs.ae_title)
        path = settings_file(tmp_path / "node", destinations=(to,), is_tiny=True)
        with running(path) as node:
            for role in psutil.Process(node.process.pid).children():
                role.kill()
            until(
                lambda: "read ended with status -9" in node.log.read_text(encoding="utf-8"),
                what="its log line",
            )
            until(lambda: send(film, node.port) == 0, what="Success", timeout_s=60)
            until(lambda: len(pacs.by_study) == 1, what="a report", timeout_s=60)
            assert node.stop() == 0


def test_a_second_node_in_the_same_folder_does_not_start(tmp_path: Path) -> None:
    path = settings_file(tmp_path)
    with data_folder_lock(config.load(path).node.data_folder):
        second = subprocess.run(
            [*COMMAND, "run", "--config", path], capture_output=True, text=True, timeout=60, check=False
        )
    assert second.returncode == 1
    assert "another node runs in" in second.stderr
