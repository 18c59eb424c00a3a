"""Benchmark of the latency from a film to its report in the PACS."""

import json
from pathlib import Path

import pytest

from benchmarks import end_to_end
from benchmarks.load import films
from benchmarks.load.pacs import inbox
from benchmarks.load.sender import Order
from benchmarks.load.sender_process import sender


def test_the_pacs_reports_when_the_object_of_a_study_is_stored(tmp_path: Path) -> None:
    path = films.write(tmp_path, "10 kB DX")
    with inbox(tmp_path / "pacs") as pacs, sender() as sending:
        answer = sending.send(Order(port=pacs.port, path=str(path), run=3, films=2))
        arrived_at = pacs.wait({films.uid("1", run=3, number=number) for number in (1, 2)}, timeout_s=30)

    for number, began, _, answered, status in answer.films:
        assert status == 0
        assert began < arrived_at[films.uid("1", run=3, number=number)] < answered


@pytest.mark.long
def test_the_command_reports_film_and_stage_times_of_every_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "measured.json"
    few = ("--films", "1", "--enlarged", "1", "--databases", "sqlite", "--set", "read.threads=1")
    monkeypatch.setattr("sys.argv", ["end_to_end", *few, "--json", str(results)])

    end_to_end.main()

    measured = json.loads(results.read_text(encoding="utf-8"))
    loads, stages_s = measured["loads"]["sqlite"], measured["stages_s"]["sqlite"]
    assert [load["name"] for load in loads] == ["idle", "2 a second", "all at once"]
    assert [len(load["seconds_each"]) for load in loads] == [1, 1, 1]
    assert {stage: len(times) for stage, times in stages_s.items()} == {"read": 1, "compose": 1, "deliver": 1}
    # The report cannot arrive before reading and composing have ended, one after the other.
    assert loads[0]["seconds_each"][0] >= stages_s["read"][0] + stages_s["compose"][0]
    assert len(capsys.readouterr().out.splitlines()) == 2 + 3
