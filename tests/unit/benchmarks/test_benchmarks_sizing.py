"""Number of hosts for a day of films, and the command that prints it."""

import json
from pathlib import Path

import pytest

from benchmarks import simulate
from benchmarks.load import charts
from benchmarks.simulation import sizing
from benchmarks.simulation.day import DAY_S, Day
from benchmarks.simulation.samples import Samples
from benchmarks.simulation.sizing import Hosts

STAGES_S = {"receive": [0.1, 0.1], "read": [0.2, 0.6], "compose": [0.2], "deliver": [0.1]}
SAMPLES = Samples(
    machine="a machine",
    cores=2,
    at="a day",
    film_bytes=15_000_000,
    stages_s={stage: tuple(times) for stage, times in STAGES_S.items()},
    saturated=2.0,
    connections=10,
    transactions={kind: {"one worker": 100.0, "eight workers": 400.0} for kind in ("sqlite", "postgresql")},
)


def test_hosts_are_enough_for_the_peak_with_a_spare() -> None:
    # 10 films/s at the peak, 0.4 s of reading on average: 4 readers at full utilisation, 8 at a half.
    day = Day(films=2 * DAY_S, peak=5.0)

    assert sizing.hosts(SAMPLES, day, busy=0.5, spare=1) == Hosts(receive=3, read=9, deliver=5)


@pytest.mark.parametrize(("films_a_second", "is_one"), [(0.4, True), (0.6, False)])
def test_one_machine_is_enough_up_to_its_measured_rate(films_a_second: float, is_one: bool) -> None:
    assert sizing.is_one_machine(SAMPLES, Day(films=films_a_second * DAY_S, peak=2.0), busy=0.5) is is_one


def test_the_lowest_limit_comes_first() -> None:
    limits = sizing.limits(SAMPLES, peak=2.0, busy=0.5)

    assert [limit.films_a_day for limit in limits] == sorted(limit.films_a_day for limit in limits)
    assert {limit.what: limit.films_a_day for limit in limits}["one reading host"] == pytest.approx(DAY_S / 4 / 0.4)


def test_a_piece_of_a_plant_has_the_utilisation_of_the_whole() -> None:
    parts = sizing.pieces(Hosts(receive=10, read=15, deliver=20), 10)

    assert {stage: part.servers for stage, part in parts.items()} == {
        "receive": 1,
        "read": 2,
        "compose": 2,
        "deliver": 4,
    }
    assert parts["read"].slower == pytest.approx(2 / 1.5)
    assert all(parts[stage].slower == 1.0 for stage in ("receive", "compose", "deliver"))


@pytest.mark.slow
def test_the_command_prints_and_draws_hosts_limits_and_scenarios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = tmp_path / "measured.json"
    load = {"films": 10, "seconds": 5.0, "answers_each": STAGES_S["receive"]}
    document = {
        "machine": "a machine",
        "cores": 2,
        "at": "a day",
        "film_bytes": 15_000_000,
        "loads": {"postgresql": [load | {"name": "idle"}, load | {"name": "all at once"}]},
        "stages_s": {"postgresql": {stage: STAGES_S[stage] for stage in ("read", "compose", "deliver")}},
        "connections": 10,
        "transactions": SAMPLES.transactions,
    }
    measured.write_text(json.dumps(document), encoding="utf-8")
    options = ("--measured", str(measured), "--films", "300", "--pictures", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["simulate", *options])

    simulate.main()

    out = capsys.readouterr().out
    lines = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("|")]
    cells = {line[1]: line for line in lines if line[0] == "300"}
    quiet, away = cells["nothing happens"], cells["the PACS is away from 10 to 12"]
    assert quiet[2] == away[2], "the same films arrive in each scenario"
    assert (quiet[5].split()[1], away[5].split()[1]) == ("s", "h"), "the longest latency of a film"
    assert (tmp_path / "scale-300.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_picture_of_receiving_is_drawn_for_each_kind_of_film(tmp_path: Path) -> None:
    turns = [{"films": films, "seconds": 1.0} for films in (9, 10, 12)]
    cell = {"kind": "10 kB DX", "senders": 4, "per_association": 1, "nagle": False}

    (path,) = charts.of_receiving([{"cell": cell, "rounds": {"node": turns, "orthanc": turns}}], tmp_path)

    assert path.name == "receive-10-kb-dx.png"
    assert path.read_bytes().startswith(b"\x89PNG")
