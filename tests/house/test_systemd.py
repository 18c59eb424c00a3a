"""Units of deploy/systemd: valid, hardened, and in agreement with the program."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cxr_node.domain.secret import is_secret
from cxr_node.settings.root import Settings
from cxr_node.wiring.role_names import Role
from tests.support.films import ROOT

FOLDER = ROOT / "deploy" / "systemd"
SERVICE = (FOLDER / "cxr-node.service").read_text(encoding="utf-8")
LARGEST_EXPOSURE = 1.5


def systemd(name: str, *arguments: str | Path) -> str:
    """Run a program of systemd, and return its output; skip the test where it is missing."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed (Debian package systemd)")
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_the_unit_is_valid(tmp_path: Path) -> None:
    # The command of the unit is not installed here.
    text, count = re.subn(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", SERVICE)
    unit = tmp_path / "cxr-node.service"
    unit.write_text(text, encoding="utf-8")

    assert count == 1
    assert systemd("systemd-analyze", "verify", unit) == ""


def test_the_exposure_of_the_unit_is_low() -> None:
    output = systemd("systemd-analyze", "security", "--offline=true", "--no-pager", FOLDER / "cxr-node.service")

    level = re.search(r"Overall exposure level for cxr-node.service: ([\d.]+)", output)
    assert level is not None
    assert float(level[1]) <= LARGEST_EXPOSURE


@pytest.mark.skipif(os.geteuid() != 0, reason="folders of another user are made by root only")
def test_user_and_folders_are_created(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()

    systemd("systemd-sysusers", f"--root={tmp_path}", FOLDER / "cxr-node.sysusers.conf")
    systemd("systemd-tmpfiles", f"--root={tmp_path}", "--create", FOLDER / "cxr-node.tmpfiles.conf")

    name, _, uid, _, _, home, shell = (tmp_path / "etc/passwd").read_text(encoding="utf-8").strip().split(":")
    data = (tmp_path / "var/lib/cxr-node").stat()
    assert (name, home, shell) == ("cxr-node", "/var/lib/cxr-node", "/usr/sbin/nologin")
    assert (data.st_uid, data.st_mode & 0o777) == (int(uid), 0o700)
    assert (tmp_path / "etc/cxr-node").stat().st_mode & 0o777 == 0o750


def test_roles_and_credentials_are_those_of_the_program() -> None:
    (roles,) = re.findall(r"(?m)^Environment=CXR_NODE_RUN_ROLES=(.*)$", SERVICE)
    credentials = re.findall(r"(?m)^LoadCredential=([\w.]+):cxr-node\.([\w.]+)$", SERVICE)
    secrets = {
        f"{table}.{name}"
        for table, section in Settings()
        for name, field in type(section).model_fields.items()
        if is_secret(field.annotation)
    }

    assert set(roles.split(",")) == set(Role)
    assert len(credentials) == SERVICE.count("LoadCredential=")
    assert {key for key, _ in credentials} <= secrets
    assert all(key == file for key, file in credentials)
