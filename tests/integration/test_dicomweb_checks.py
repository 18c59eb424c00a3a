"""Checks of the DICOMweb server by `cxr-node doctor`, and before a start."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import ConfigurationError, load
from cxr_node.ops import preflight
from cxr_node.ops.checks import dicomweb
from cxr_node.ops.checks.node import Status
from cxr_node.wiring.process import Process
from cxr_node.wiring.role_names import Role
from tests.support.peers import LOOPBACK
from tests.support.running_node import settings_file


def checked(folder: Path, section: str) -> list[tuple[Status, str]]:
    """Return status and message of each check of a node with this section of settings."""
    config = settings_file(folder, more=f"[dicomweb]\n{section}")
    assert CliRunner().invoke(app, ["db", "upgrade", "--config", str(config)]).exit_code == 0
    if "WEB1" in section:
        added = CliRunner().invoke(app, ["token", "add", "WEB1", "--config", str(config)])
        assert added.exit_code == 0, added.output
    with Process.open(load(config)) as process:
        return [(check.status, check.message) for check in dicomweb.server(process)]


def test_a_server_is_checked_only_if_it_is_enabled(tmp_path: Path) -> None:
    assert checked(tmp_path, "") == []


def test_each_sender_needs_a_valid_token(tmp_path: Path) -> None:
    good = checked(tmp_path / "good", 'enabled = true\nsenders = ["WEB1"]')
    missing = checked(tmp_path / "missing", 'enabled = true\nsenders = ["WEB1", "WEB2"]')
    nobody = checked(tmp_path / "nobody", "enabled = true")

    assert good == [(Status.OK, "1 API tokens may store")]
    assert missing == [(Status.PROBLEM, "no valid API token for WEB2 of dicomweb.senders")]
    assert nobody == [(Status.NOTE, "no API token may store")]


def test_tokens_must_not_cross_the_network_without_tls(tmp_path: Path) -> None:
    exposed, _ = checked(tmp_path, 'enabled = true\nhost = "0.0.0.0"')

    assert exposed[0] is Status.PROBLEM
    assert "tokens would cross the network" in exposed[1]


def test_a_port_in_use_is_found_before_the_start(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        settings = load(settings_file(tmp_path, more=f"[dicomweb]\nenabled = true\nport = {port}"))
        faults = preflight.port_faults(settings, [Role.RECEIVE])

    assert [fault.partition(":")[0] for fault in faults] == ["dicomweb.port"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('[dicomweb]\nsenders = ["a name that is too long"]', "dicomweb.senders"),
        ('[dicomweb]\nbase_url = "ftp://node"', "dicomweb.base_url"),
        ('[dicomweb]\nbase_url = "https://user:secret@node/dicomweb"', "dicomweb.base_url"),
        ('[dicomweb]\norigins = ["*"]', "dicomweb.origins"),
        ('[dicomweb]\ntls_peers_ca = "ca.pem"', "dicomweb.tls_peers_ca"),
    ],
)
def test_a_wrong_setting_is_named(more: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        load(settings_file(tmp_path, more=more))

    assert wrong.value.problems[0].startswith(problem)
