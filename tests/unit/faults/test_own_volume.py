"""A fault group on a volume of its own."""

import os
from pathlib import Path

import pytest

from cxr_node.faults import own_volume
from cxr_node.faults.context import SHORT, FaultContext
from cxr_node.faults.films import Films
from cxr_node.faults.outcome import GroupResult

INODES = 50


def run_on_volume(context: FaultContext) -> GroupResult:
    """Report progress and the inodes of the folder, as a group that runs on a volume."""
    context.on_progress("volume", 1, 2)
    inodes = os.statvfs(context.folder).f_files
    note = f"{context.amounts.kills} kills, {context.receive_settings['path']}"
    return GroupResult(group="a group", database=context.kind, faults=inodes, notes=(note,))


@pytest.mark.slow
def test_a_group_runs_on_a_volume_of_its_own(tmp_path: Path) -> None:
    if reason := own_volume.reason_why_not():
        pytest.skip(reason)
    progress: list[tuple[str, int, int]] = []
    context = FaultContext(
        folder=tmp_path,
        kind="sqlite",
        films=Films(1, side_pixels=16),
        amounts=SHORT,
        receive_settings={"path": "streaming"},
        on_progress=lambda *step: progress.append(step),
    )

    result = own_volume.run(context, __name__, size_bytes=1 << 20, inodes=INODES)

    note = f"{SHORT.kills} kills, streaming"
    assert result == GroupResult(group="a group", database="sqlite", faults=INODES, notes=(note,))
    assert progress == [("volume", 1, 2)]
    assert list((tmp_path / "volume").iterdir()) == [], "the volume ends with the process"
