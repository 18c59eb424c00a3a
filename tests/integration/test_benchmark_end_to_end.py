"""The benchmark from a film to its report in the PACS."""

import json
import subprocess
import sys
from pathlib import Path

from tests.films import ROOT


def test_the_command_tells_of_every_load_how_long_films_took_and_how_long_each_leg(tmp_path: Path) -> None:
    told = tmp_path / "measured.json"
    few = ("--films", "1", "--enlarged", "1", "--databases", "sqlite", "--set", "read.threads=1")
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.end_to_end", *few, "--json", told],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert ended.returncode == 0, ended.stderr
    measured = json.loads(told.read_text(encoding="utf-8"))
    loads = measured["loads"]["sqlite"]
    assert [each["name"] for each in loads] == ["idle", "2 a second", "all at once"]
    assert [len(each["seconds_each"]) for each in loads] == [1, 1, 1]
    assert {leg: len(each) for leg, each in measured["legs_s"]["sqlite"].items()} == {
        "read": 1,
        "compose": 1,
        "deliver": 1,
    }
    # A report cannot be there sooner than its legs have taken, one after the other.
    assert max(loads[0]["seconds_each"]) >= sum(min(each) for each in measured["legs_s"]["sqlite"].values())
    assert len(ended.stdout.splitlines()) == 2 + 3
