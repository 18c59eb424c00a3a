"""File modes: only the owner can read a node's files, also in a folder that others may enter."""

import stat
from pathlib import Path

from tests.support import films, peers
from tests.support.running_node import running, settings_file


def test_files_of_a_node_are_readable_by_its_owner_only(tmp_path: Path) -> None:
    config = settings_file(tmp_path / "node")
    data = config.parent / "cxr-node-data"
    data.mkdir(mode=0o755)
    with running(config, roles=("receive",), wait_for=("receive",)) as node:
        assert peers.storescu(node.port, films.written(films.dx(), tmp_path)).returncode == 0
        modes = {path.relative_to(data).as_posix(): path.stat().st_mode for path in data.rglob("*")}

    assert {"archive", "audit", "notify", "node.db", "node.db-wal", "node.lock"} <= modes.keys()
    assert any(name.endswith(".dcm") for name in modes)
    folders = {name: stat.S_IMODE(mode) for name, mode in modes.items() if stat.S_ISDIR(mode)}
    files = {name: stat.S_IMODE(mode) for name, mode in modes.items() if not stat.S_ISDIR(mode)}
    assert folders == dict.fromkeys(folders, 0o700)
    assert files == dict.fromkeys(files, 0o600)
