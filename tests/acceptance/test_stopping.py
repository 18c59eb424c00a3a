"""A node that is told to stop, by more than one and more than once."""

import os
import signal
from pathlib import Path

from tests.support.running_node import running, settings_file

_SIGNALS = 200


def test_a_node_whose_whole_process_group_is_told_again_and_again_stops_in_order(tmp_path: Path) -> None:
    roles = ("receive", "read", "deliver", "admin")
    path = settings_file(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("processes = 0", "processes = 1"), encoding="utf-8")
    with running(path, roles=roles, wait_for=roles) as node:
        for _ in range(_SIGNALS):
            os.killpg(node.process.pid, signal.SIGTERM)
        assert node.process.wait(30) == 0
        said = node.log.read_text(encoding="utf-8")
    assert "did not stop in time" not in said
    assert "ended with status" not in said
