"""Heartbeats: a role that is stopped or hangs is restarted, and the node is not ready while its receiver is silent."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.domain.identifiers import AeTitle
from cxr_node.receive.scp import Receiver
from cxr_node.settings.root import Settings
from cxr_node.simulators.modality import echo
from cxr_node.web import metrics
from cxr_node.web.server import web_context
from cxr_node.wiring import heartbeat, own_echo, roles
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import receiver
from cxr_node.wiring.role_names import Role
from tests.support import certificates
from tests.support.peers import LOOPBACK, until
from tests.support.running_node import START_S, RunningNode, running, settings_file

KNOWN_PEER = '[[receive.peers]]\nae_title = "DX1"\n'


def settings_of(tmp_path: Path, more: str = "") -> Settings:
    """Return the settings of a node that a supervisor has prepared."""
    settings = load(settings_file(tmp_path / "node", more=more))
    heartbeat.prepare(settings)
    return settings


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for an answer as long as a busy machine may take."""
    monkeypatch.setattr(own_echo, "_TIMEOUT_S", 120.0)


@contextmanager
def receiving(settings: Settings) -> Iterator[Process]:
    """Receive films, with a heartbeat as the role gives it."""
    path = heartbeat.path_of(settings, Role.RECEIVE, 0)
    heartbeat.begin(path)
    with Process.open(settings, is_audited=True) as process:
        migrate.upgrade(process.database)
        with receiver(process) as scp:
            heartbeat.write_address(path, f"{LOOPBACK}:{scp.port}")
            yield process


def problems_of(process: Process) -> list[str]:
    """Return what /health/ready names."""
    with web_context(process) as context:
        return metrics.health(context, process.settings.node.data_folder)


def test_a_heartbeat_is_renewed_while_the_checks_hold(tmp_path: Path) -> None:
    path = tmp_path / "beat"
    heartbeat.begin(path)
    os.utime(path, (1.0, 1.0))

    with heartbeat.beating(path, lambda: True, interval_s=0.01):
        until(lambda: path.stat().st_mtime > 1.0, what="a heartbeat")


def test_a_heartbeat_is_missing_while_a_check_fails(tmp_path: Path) -> None:
    path, calls, enough = tmp_path / "beat", [0], threading.Event()
    heartbeat.begin(path)
    os.utime(path, (1.0, 1.0))

    def fails() -> bool:
        calls[0] += 1
        if calls[0] == 3:
            enough.set()
        return False

    with heartbeat.beating(path, fails, interval_s=0.01):
        assert enough.wait(60)

    assert path.stat().st_mtime == 1.0


def test_a_role_without_a_recent_heartbeat_is_named(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    for number, role in enumerate((Role.RECEIVE, Role.READ, Role.DELIVER)):
        heartbeat.begin(heartbeat.path_of(settings, role, number))
    os.utime(heartbeat.path_of(settings, Role.RECEIVE, 0), (1000.0, 1000.0))
    os.utime(heartbeat.path_of(settings, Role.READ, 1), (1039.0, 1039.0))
    heartbeat.end(heartbeat.path_of(settings, Role.DELIVER, 2))

    late = heartbeat.late_roles(settings, now=1040.0)

    assert late.keys() == {Role.RECEIVE, Role.DELIVER}
    assert "no heartbeat for 40 s" in late[Role.RECEIVE]
    assert "has ended" in late[Role.DELIVER]


def test_the_node_is_ready_while_its_receiver_answers(tmp_path: Path) -> None:
    with receiving(settings_of(tmp_path)) as process:
        assert problems_of(process) == []


def test_the_node_is_not_ready_while_its_receiver_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel still accepts connections for a stopped process."""
    monkeypatch.setattr(own_echo, "_TIMEOUT_S", 0.3)
    settings = settings_of(tmp_path)
    path = heartbeat.path_of(settings, Role.RECEIVE, 0)
    with socket.create_server((LOOPBACK, 0)) as silent, Process.open(settings) as process:
        migrate.upgrade(process.database)
        heartbeat.begin(path)
        heartbeat.write_address(path, f"{LOOPBACK}:{silent.getsockname()[1]}")

        (problem,) = problems_of(process)

    assert problem.startswith("the receiver does not answer C-ECHO")


def test_the_node_is_not_ready_without_the_heartbeat_of_a_role(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    path = heartbeat.path_of(settings, Role.READ, 1)
    heartbeat.begin(path)
    os.utime(path, (1000.0, 1000.0))
    with receiving(settings) as process:
        (problem,) = problems_of(process)

    assert problem.startswith("the role read has given no heartbeat for")


def test_the_receive_role_is_alive_only_while_it_accepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_accepting = True
    monkeypatch.setattr(Receiver, "is_accepting", lambda _receiver: is_accepting)
    with Process.open(settings_of(tmp_path), is_audited=True) as process:
        migrate.upgrade(process.database)
        with roles.receive(process):
            assert process.is_alive()
            is_accepting = False

            assert not process.is_alive()


HUNG = """
import sys
from pathlib import Path
from cxr_node.receive.scp import Receiver
from cxr_node.service import role

def is_accepting(receiver):
    with Path(sys.argv[2]).open("a") as calls:
        calls.write(".")
    return False

Receiver.is_accepting = is_accepting
role.main(["receive", "--config", sys.argv[1], "--heartbeat", sys.argv[3]])
"""
"""A receive role whose accept loop hangs: each check of it writes a dot."""


@pytest.mark.slow
def test_a_process_gives_no_heartbeat_while_its_role_hangs(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with Process.open(settings) as process:
        migrate.upgrade(process.database)
    path, calls = heartbeat.path_of(settings, Role.RECEIVE, 0), tmp_path / "calls"
    heartbeat.begin(path)
    config = str(tmp_path / "node" / "cxr-node.toml")
    command = [sys.executable, "-c", HUNG, config, str(calls), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as role:
        try:
            assert role.stdout is not None
            assert b"address" in role.stdout.readline()
            until(calls.exists, what="a check of the role", timeout_s=START_S)
            os.utime(path, (1.0, 1.0))
            checked = calls.stat().st_size
            until(lambda: calls.stat().st_size >= checked + 2, what="two more checks", timeout_s=START_S)
        finally:
            role.kill()

    assert path.stat().st_mtime == 1.0


def test_the_nodes_own_echo_passes_rules_for_peers_and_leaves_no_record(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, KNOWN_PEER)
    node = AeTitle(settings.receive.ae_title)
    with receiving(settings):
        port = int(heartbeat.receive_address(settings).rpartition(":")[2])
        with pytest.raises(ConnectionError):
            echo(host=LOOPBACK, port=port, called_ae_title=node, calling_ae_title=AeTitle("STRANGER"), timeout_s=120)
        assert own_echo.receiver_fault(settings) == ""

    trail = "".join(path.read_text() for path in (settings.node.data_folder / "audit").rglob("*") if path.is_file())
    assert "STRANGER" in trail
    assert str(heartbeat.echo_title(settings)) not in trail


def test_the_nodes_own_echo_uses_tls(tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    own = certificates.issued(tmp_path, authority, "node")
    settings = settings_of(tmp_path)
    receive = settings.receive.model_copy(update={"tls_certificate": own.certificate, "tls_key": own.key})
    with receiving(settings.model_copy(update={"receive": receive})) as process:
        assert own_echo.receiver_fault(process.settings) == ""
        assert own_echo.receiver_fault(settings) != "", "the port has TLS"


def test_a_role_whose_accept_loop_hangs_gives_no_heartbeat(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with Process.open(settings) as process:
        migrate.upgrade(process.database)
        with receiver(process) as scp:
            assert scp.is_accepting()
            assert scp._server is not None
            scp._server.service_actions = lambda: None  # type: ignore[method-assign]  # as in a loop without turns
            scp._server.turned_at = time.monotonic() - 11.0

            assert not scp.is_accepting()


@pytest.mark.slow
def test_a_stopped_receiver_is_restarted_without_the_role_starter(tmp_path: Path) -> None:
    config = settings_file(tmp_path / "node")
    config.write_text(config.read_text().replace("tick_s = 1", "tick_s = 1\nheartbeat_timeout_s = 3"))
    settings = load(config)
    with running(config, roles=("receive",), wait_for=("receive",)) as node:
        children = {title(child): child for child in processes_below(node)}
        children["cxr-node role-starter"].suspend()
        stopped = children["cxr-node role receive"]
        node.addresses.clear()

        stopped.send_signal(signal.SIGSTOP)

        assert node.wait_until_ready("receive", timeout_s=START_S), node.state()
        node_title = AeTitle(settings.receive.ae_title)
        echo(host=LOOPBACK, port=node.port, called_ae_title=node_title, calling_ae_title=AeTitle("DX1"))
        titles = sorted(title(child) for child in processes_below(node))
        # The second starter was started as a program; the first was killed, and reaped as the receiver was.
        assert titles == ["cxr-node role receive", "cxr-node role-starter"]
    assert "receive has given no heartbeat" in node.log.read_text()


def processes_below(node: RunningNode) -> list[psutil.Process]:
    """Return the children of the supervisor, those included that have ended and were not reaped."""
    return psutil.Process(node.process.pid).children()


def title(process: psutil.Process) -> str:
    """Return the name of a process without its options."""
    return " ".join(process.cmdline()).partition(" --")[0].strip()
