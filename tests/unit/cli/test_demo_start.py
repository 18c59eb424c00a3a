"""Start of the demo's node: it ends at once with the node, and shows its log."""

import sys
from pathlib import Path

import pytest

from cxr_node.cli.demo import _wait_until_ready
from cxr_node.cli.terminal import CommandError
from cxr_node.simulators.program import Program

READY = "".join(
    f'print(\'{{"role": "{role}", "address": "{role}:1"}}\', flush=True);' for role in ("receive", "read", "deliver")
)


def started(folder: Path, program: str) -> Program:
    return Program(folder / "unused.toml", log=folder / "node.log", command=(sys.executable, "-c", program))


def test_a_ready_node_has_an_address(tmp_path: Path) -> None:
    with started(tmp_path, READY) as node:
        _wait_until_ready(node)

        assert node.addresses["receive"] == "receive:1"


def test_a_node_that_ends_at_its_start_is_shown_with_its_log(tmp_path: Path) -> None:
    with (
        started(tmp_path, "import sys; sys.exit('port 11112 is in use')") as node,
        pytest.raises(CommandError) as caught,
    ):
        _wait_until_ready(node)

    assert "not ready: receive, read, deliver" in str(caught.value)
    assert "the node ended with status 1" in str(caught.value)
    assert "port 11112 is in use" in str(caught.value)
