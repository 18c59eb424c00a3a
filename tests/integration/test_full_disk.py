"""A volume that is full at the start, or that has no inodes left for films."""

import os
import subprocess
from pathlib import Path

import pytest

from cxr_node.config import load
from cxr_node.settings.root import Settings
from cxr_node.simulators.program import COMMAND
from cxr_node.wiring import receive
from tests.support.running_node import settings_file

UNSHARED = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
"""A command with mounts of its own, which end with it."""


def can_mount() -> bool:
    """Whether a user may mount a file system of its own here."""
    try:
        return not subprocess.run([*UNSHARED, "mount -t tmpfs tmpfs /mnt"], check=False, capture_output=True).returncode
    except OSError:
        return False


VOLUMES = {
    "bytes": ("size=256k", "dd if=/dev/zero of=$FOLDER/rest bs=1k status=none || true"),
    "inodes": (
        "size=64m,nr_inodes=8",
        "cd $FOLDER; touch 1 2 3 4 5 6 7 8 || true; cd -",
    ),
}


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="no mounts for this user")
@pytest.mark.parametrize("volume", VOLUMES)
def test_a_start_on_a_full_disk_says_so_in_one_sentence(tmp_path: Path, volume: str) -> None:
    config = settings_file(tmp_path / "node")
    folder = load(config).node.data_folder
    folder.mkdir()
    options, fill = VOLUMES[volume]
    script = f'mount -t tmpfs -o {options} tmpfs $FOLDER && {{ {fill}; }} > $FOLDER.log 2>&1; exec "$@"'
    program = (*COMMAND, "run", "--roles", "receive", "--config", str(config))

    ended = subprocess.run(
        [*UNSHARED, script, "sh", *program],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "FOLDER": str(folder)},
    )

    assert ended.returncode == 1, ended.stderr
    (sentence,) = ended.stderr.strip().splitlines()
    assert sentence.startswith(f"the disk of {folder} is full: ")


def test_films_are_rejected_within_the_reserve_of_inodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: Settings = load(settings_file(tmp_path / "node"))
    settings.node.data_folder.mkdir()
    values = list(os.statvfs(tmp_path))
    values[5], values[7] = 1_000_000, settings.archive.reserve_inodes
    monkeypatch.setattr(os, "statvfs", lambda _folder: os.statvfs_result(values))
    assert receive.has_space(settings, 0)

    values[7] -= 1

    assert not receive.has_space(settings, 0)
