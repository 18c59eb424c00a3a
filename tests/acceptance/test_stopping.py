"""Stop of a node by repeated signals to its process group."""

import os
import signal
from pathlib import Path

from tests.support.running_node import running, settings_file

_SIGNALS = 200


def test_repeated_stop_signals_to_the_process_group_stop_the_node_in_order(tmp_path: Path) -> None:
    roles = ("receive", "read", "deliver", "admin")
    path = settings_file(tmp_path, is_tiny=True)
    path.write_text(path.read_text(encoding="utf-8").replace("processes = 0", "processes = 1"), encoding="utf-8")
    with running(path, roles=roles, wait_for=roles) as node:
        for _ in range(_SIGNALS):
            os.killpg(node.process.pid, signal.SIGTERM)
        assert node.process.wait(30) == 0
        log = node.log.read_text(encoding="utf-8")
    assert "did not stop in time" not in log
    assert "ended with status" not in log
