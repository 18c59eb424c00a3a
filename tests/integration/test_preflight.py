"""`cxr-node run` with settings that cannot work: a sentence for each, exit status 2, and nothing is started."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.service import supervisor
from tests.support import certificates

PORTS = "[receive]\nport = 0\n[web]\nport = 0\n"


@pytest.fixture
def used_port() -> Iterator[int]:
    """A port where another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def refused(folder: Path, settings: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what `cxr-node run` writes; it must not start a role."""
    path = folder / "node.toml"
    path.write_text(f'[node]\ndata_folder = "data"\n[archive]\nreserve_bytes = 0\n{settings}', encoding="utf-8")
    monkeypatch.setattr(supervisor, "_run_roles", lambda *_arguments, **_named: pytest.fail("roles were started"))
    ended = CliRunner().invoke(app, ["run", "--config", str(path)])
    assert ended.exit_code == 2, ended.output
    assert "Traceback" not in ended.output
    return " ".join(ended.output.split())


@pytest.mark.parametrize("key", ["receive", "web", "dicomweb", "adt"])
def test_a_port_in_use_is_named(key: str, used_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    optional = "[dicomweb]\nport = 0\nenabled = true\n[adt]\nport = 0\nenabled = true\naddresses = ['127.0.0.1']\n"
    settings = f"{PORTS}{optional}".replace(f"[{key}]\nport = 0", f"[{key}]\nport = {used_port}")

    output = refused(tmp_path, settings, monkeypatch)

    assert f"{key}.port (line " in output
    assert f"port {used_port} of 127.0.0.1 is not available (address already in use)" in output
    assert "set another port" in output
    assert "node.toml" in output


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('[read]\nbundle = "nope"\n', "there is no bundle 'nope'; name one of chest"),
        ('[read]\nshadow = "nope@1"\n', "there is no bundle 'nope@1'"),
        ('[database]\nurl = "mysql://node:sesame@db/cxr"\n', "node.toml): mysql is not supported; use postgresql://"),
        ('[database]\nurl = "node.db"\n', "node.toml): this is not a URL; use postgresql://"),
    ],
    ids=["bundle", "shadow", "mysql", "no URL"],
)
def test_a_setting_that_cannot_work_is_named(
    settings: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = refused(tmp_path, PORTS + settings, monkeypatch)

    assert sentence in output
    assert "sesame" not in output


def test_certificates_and_keys_that_cannot_be_used_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (certificates.authority(tmp_path, name) for name in ("first", "second"))
    tls = 'tls_certificate = "{}"\ntls_key = "{}"\n'
    receive = "[receive]\nport = 0\n{}[web]\nport = 0\n"

    missing = refused(tmp_path, receive.format(tls.format("no.pem", first.key)), monkeypatch)
    other = refused(tmp_path, receive.format(tls.format(first.certificate, second.key)), monkeypatch)

    assert "receive.tls_certificate" in missing
    assert "no such file" in missing.lower()
    assert "receive.tls_key" in other
    assert "name the key of" in other
