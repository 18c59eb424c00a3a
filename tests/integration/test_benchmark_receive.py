"""Benchmark of reception: films, sender, and the check of stored films."""

import argparse
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from benchmarks import receive
from benchmarks.load import films, modes
from benchmarks.load.receivers import Receiver, Unfit, available
from benchmarks.load.rounds import Bounds, Cell, turn
from benchmarks.load.sender import Order
from benchmarks.load.sender_process import Sending, sender
from tests.support.dicomweb import entrance
from tests.support.receiver import receiving

KIND = "10 kB DX"


@pytest.fixture(scope="module")
def sending() -> Iterator[Sending]:
    with sender() as started:
        yield started


def order(port: int, path: Path) -> Order:
    return Order(port=port, path=str(path), run=7, senders=2, films=5)


@pytest.mark.parametrize(
    "variant",
    [
        lambda order: order,
        lambda order: replace(order, nagle=True),
        lambda order: replace(order, per_association=1),
        lambda order: replace(order, pdu_bytes=4096),
    ],
    ids=["plain", "nagle", "one film an association", "small PDUs"],
)
def test_each_sent_film_is_complete_and_has_its_own_uids(
    variant: Callable[[Order], Order], sending: Sending, tmp_path: Path
) -> None:
    path = films.write(tmp_path, KIND)
    pixels = pydicom.dcmread(path).PixelData
    with receiving() as node:
        answer = sending.send(variant(order(node.port, path)))

    stored = [pydicom.dcmread(io.BytesIO(instance.content)) for instance in node.instances]
    assert [status for *_, status in answer.films] == [0] * 5
    assert all(began < sent < answered for _, began, sent, answered, _ in answer.films)
    assert answer.refused == 0
    for which, keyword in (("1", "StudyInstanceUID"), ("2", "SeriesInstanceUID"), ("3", "SOPInstanceUID")):
        assert {film[keyword].value for film in stored} == {films.uid(which, run=7, number=n) for n in range(1, 6)}
    assert {film.PatientID for film in stored} == {films.patient_id(run=7, number=n) for n in range(1, 6)}
    assert all(film.PixelData == pixels for film in stored)


def test_films_are_sent_at_the_requested_rate(sending: Sending, tmp_path: Path) -> None:
    path = films.write(tmp_path, KIND)
    with receiving() as node:
        answer = sending.send(replace(order(node.port, path), every_s=0.1))

    assert max(film[1] for film in answer.films) - answer.began_at >= 0.4


def test_a_receiver_that_loses_accepted_films_fails_the_run(sending: Sending, tmp_path: Path) -> None:
    path = films.write(tmp_path, KIND)
    with receiving() as node:
        forgetful = Receiver(name="forgetful", port=node.port, pid=0, count_stored=lambda: 0, clear=lambda: None)
        with pytest.raises(Unfit, match="forgetful answered Success to 3 films and holds 0"):
            turn(
                forgetful,
                Cell(kind=KIND, senders=1),
                path,
                sending=sending,
                bounds=Bounds(seconds=60, megabytes=3.9 * path.stat().st_size / 1e6),
                run=1,
            )


@contextmanager
def receiver() -> Iterator[Receiver]:
    with receiving(require_called_ae_title=False) as node:
        instances = node.instances
        yield Receiver(
            name="node", port=node.port, pid=os.getpid(), count_stored=lambda: len(instances), clear=lambda: None
        )


def parsed(*options: str) -> argparse.Namespace:
    return receive.parser().parse_args([*options, "--rounds", "1", "--kinds", KIND])


@pytest.mark.ci(short="test_memory_is_reported_after_each_tenth_of_the_films")
def test_the_cost_of_idle_associations_has_their_number(tmp_path: Path) -> None:
    with receiver() as node:
        _, lines = modes.idle(parsed("--idle", "3", "--idle-seconds", "1"), tmp_path, [node])
        ((name, associations, share, rss_mb),) = lines

    assert (name, associations) == ("node", "3")
    assert float(share.split()[0]) < 100
    assert float(rss_mb) > 10


def test_memory_is_reported_after_each_tenth_of_the_films(tmp_path: Path) -> None:
    with receiver() as node:
        headings, lines = modes.flat(parsed("--flat", "20", "--senders", "2"), tmp_path, [node])
        (line,) = lines
        stored = node.count_stored()

    assert len(line) == len(headings) == 3 + 10 + 1
    assert stored == 20


def test_storescu_is_timed_on_films_that_are_all_stored(tmp_path: Path) -> None:
    if not available("storescp"):
        pytest.skip("DCMTK is not installed")
    with receiver() as node:
        _, lines = modes.shipped(parsed("--storescu", "--storescu-seconds", "0.1"), tmp_path, [node])
        ((kind, name, speed, _),) = lines

    assert (kind, name) == (KIND, "node")
    assert float(speed.split()[0]) > 1


def test_the_command_prints_a_table_of_the_node_and_a_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not available("storescp"):
        pytest.skip("DCMTK is not installed")
    results = tmp_path / "results.json"
    few = ("--kinds", KIND, "--senders", "2", "--rounds", "2", "--seconds", "0.1", "--megabytes", "0.2")
    monkeypatch.setattr("sys.argv", ["receive", *few, "--peers", "storescp nodelay", "--json", str(results)])

    receive.main()

    (cell,) = json.loads(results.read_text(encoding="utf-8"))
    assert all(turn_result["films"] > 0 for rounds in cell["rounds"].values() for turn_result in rounds)
    node, peer = (line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:4])
    assert (node[3], peer[3]) == ("node", "storescp nodelay")
    assert float(peer[5].partition(" ")[0]) > 0, "the ratio of the films a second"


def test_films_by_stow_rs_are_stored_and_have_their_own_uids(sending: Sending, tmp_path: Path) -> None:
    path = films.write(tmp_path, KIND)
    with entrance(tmp_path / "node") as web:
        answer = sending.send(replace(order(web.port, path), web_token=web.token))
        stored = web.stored()

    assert [status for *_, status in answer.films] == [0] * 5
    assert stored.keys() == {films.uid("3", run=7, number=n) for n in range(1, 6)}
