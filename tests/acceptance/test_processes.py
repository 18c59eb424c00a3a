"""Several receiving processes on one port: each film becomes one job; a process that dies is replaced."""

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import psutil
from pydicom import Dataset

from cxr_node import config
from cxr_node.db.states import Stage
from cxr_node.domain.identifiers import AeTitle
from cxr_node.ops.single_instance import data_folder_lock
from cxr_node.simulators import modality
from cxr_node.simulators.program import COMMAND
from tests.support import films
from tests.support.peers import LOOPBACK, free_port, until
from tests.support.running_node import RunningNode, running, settings_file

PROCESSES, SENDERS, FILMS_OF_EACH = 3, 4, 6


def listening(port: int) -> list[psutil.Process]:
    """Return the processes that listen on a port of this machine, youngest last."""
    listeners = (process for process in psutil.process_iter() if _listens(process, port))
    return sorted(listeners, key=lambda process: process.create_time())


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        connections = process.net_connections(kind="tcp4")
    except psutil.Error:
        return False
    return any(entry.status == psutil.CONN_LISTEN and entry.laddr.port == port for entry in connections)


def sent(film: Dataset, port: int, title: str) -> bool:
    (result,) = modality.send(
        [film],
        host=LOOPBACK,
        port=port,
        called_ae_title=AeTitle("CXRNODE"),
        calling_ae_title=AeTitle(title),
        timeout_s=30,
        on_sent=lambda _result: None,
    )
    return result.stored


def send_all(node: RunningNode, number: int, tried: list[str]) -> None:
    """Send films, and each again until it is stored: its association may end with the process."""
    for seed in range(FILMS_OF_EACH):
        film = films.cr(rows=200, columns=180, seed=1000 * number + seed)
        tried.append(str(film.SOPInstanceUID))
        while not sent(film, node.port, f"CR{number}"):
            assert node.process.poll() is None


def test_each_film_becomes_one_job_when_a_receiving_process_is_killed(tmp_path: Path) -> None:
    port = free_port()
    path = settings_file(tmp_path, port=port, processes=PROCESSES)
    with running(path, roles=("receive",), wait_for=("receive",)) as node:
        until(lambda: len(listening(port)) == PROCESSES, what="the start of every process")
        tried: list[str] = []
        senders = [threading.Thread(target=send_all, args=(node, number, tried)) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        until(lambda: len(tried) > SENDERS, what="a few films")
        killed = listening(port)[0].pid
        os.kill(killed, signal.SIGKILL)
        for sender in senders:
            sender.join()

        until(lambda: len(listening(port)) == PROCESSES, what="the start of another process")
        assert killed not in [process.pid for process in listening(port)]
        assert sorted(str(job.sop_instance_uid) for job in node.jobs(Stage.READ)) == sorted(tried)
        assert node.stop() == 0
        assert listening(port) == []


def test_a_port_in_use_is_not_shared_with_its_program(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        path = settings_file(tmp_path, port=other.getsockname()[1], processes=PROCESSES)
        finished = subprocess.run(
            [*COMMAND, "run", "--roles", "receive", "--config", path], capture_output=True, text=True, timeout=120
        )
    assert finished.returncode == 2
    assert "is not available" in finished.stderr
    with data_folder_lock(config.load(path).node.data_folder):
        pass
