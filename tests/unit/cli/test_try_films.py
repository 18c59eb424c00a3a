"""`cxr-node try` that a person stops."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.ops.trial.rows import Answer, Row
from cxr_node.ops.trial.run import Trial
from cxr_node.ops.trial.sources import Source


@pytest.mark.slow
def test_ctrl_c_leaves_the_rows_so_far_and_the_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (tmp_path / f"{number}.dcm").write_bytes(b"")

    def run(_: Trial, sources: Sequence[Source]) -> Iterator[Row]:
        yield Row(file=sources[0].name, answer=Answer.READ, seconds=1.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trial, "run", run)
    monkeypatch.setattr("cxr_node.cli.try_films.open_trial", lambda _: nullcontext())
    sheet = tmp_path / "sheet.html"

    result = CliRunner().invoke(app, ["try", str(tmp_path), "--html", str(sheet)])

    assert result.exit_code == 0, result.output
    assert "Stopped by Ctrl+C after 1 of 3 files." in result.output
    assert "Stopped by Ctrl+C after 1 of 3 files." in sheet.read_text(encoding="utf-8")
