"""Start of the demo's node: it ends at once with the node, and shows its log."""

import subprocess
import sys
from pathlib import Path

import pytest

from cxr_node.cli.demo import _address_when_ready, _Node
from cxr_node.cli.terminal import CommandError

READY = "".join(
    f'print(\'{{"role": "{role}", "address": "{role}:1"}}\', flush=True);' for role in ("receive", "read", "deliver")
)


def started(folder: Path, program: str) -> _Node:
    with (folder / "node.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=log, text=True)
    return _Node(process, folder / "node.log")


def test_the_address_of_a_ready_node_is_returned(tmp_path: Path) -> None:
    node = started(tmp_path, READY)

    assert _address_when_ready(node) == "receive:1"
    node.process.communicate()


def test_a_node_that_ends_at_its_start_is_shown_with_its_log(tmp_path: Path) -> None:
    node = started(tmp_path, "import sys; sys.exit('port 11112 is in use')")

    with pytest.raises(CommandError) as caught:
        _address_when_ready(node)

    assert "not ready: receive, read, deliver" in str(caught.value)
    assert "the node ended with status 1" in str(caught.value)
    assert "port 11112 is in use" in str(caught.value)
    node.process.communicate()
