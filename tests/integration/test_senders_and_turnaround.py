"""Walk-throughs of docs/how-to/admin.md: their commands on a node with problems, and the output that the page shows."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.domain.clock import utc_now
from cxr_node.domain.identifiers import AeTitle
from tests.support import films
from tests.support.films import ROOT
from tests.support.node import InProcessNode
from tests.support.queue import SENDER
from tests.support.running_node import opened, settings_file
from tests.support.web import reject

DAYS = 2
REJECTED = 99
"""The seed of the film whose report the PACS refuses; those of the others are counted on from one."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the settings of a node that got films for two days: DX2 sends lateral ones, at last the PACS refuses."""
    path = settings_file(tmp_path_factory.mktemp("node"))
    settings = load(path)
    settings.node.data_folder.mkdir(parents=True, exist_ok=True)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        node.clock.now = utc_now().replace(hour=12, minute=0) - timedelta(days=DAYS)
        for number in range(6 * DAYS):
            is_second, is_lateral = number % 6 >= 3, number % 6 >= 4
            sender = replace(SENDER, calling_ae_title=AeTitle("DX2" if is_second else "DX1"))
            changes = {"ViewPosition": "LL", "ViewCodeSequence": None} if is_lateral else {}
            changes |= {"StationName": "ROOM 2", "Modality": "CR"} if is_second else {}
            node.accept(films.dx(seed=number + 1, changes=changes), sender=sender)
            node.work()
            if number % 6 == 5:
                node.clock.advance(days=1)
        node.clock.now = utc_now()
        node.pacs.before_send = reject
        node.accept(films.dx(seed=REJECTED))
        node.work()
    return path


def study(seed: int) -> str:
    return str(films.dx(seed=seed).StudyInstanceUID)


def run(config: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--config", str(config)])
    assert result.exit_code == 0, result.output
    return result.output


def plain(text: str) -> list[str]:
    """Return lines without what differs from run to run: dates, times, UIDs, the lines and widths of tables."""
    text = re.sub(r"\d{4}-\d\d-\d\d", "DAY", re.sub(r"\d\d:\d\d:\d\d( [+-]\d{4})?", "TIME", text))
    text = re.sub(r"[┏━┳┓┡╇┩└─┴┘│┃]+", " ", re.sub(r"\b[0-9]+\.[0-9.]{5,}\b", "UID", text))
    return [line for line in (" ".join(line.split()) for line in text.splitlines()) if line]


def walks() -> Iterator[tuple[str, list[str]]]:
    """Yield each command of the walk-throughs, and the lines of its output."""
    page = (ROOT / "docs" / "how-to" / "admin.md").read_text(encoding="utf-8")
    section = page.partition("## Three questions")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?m)^    \$ (.+)\n((?:    .*\n)*)", section)
    for command, printed in blocks:
        yield command, plain(printed)


def test_page_has_the_walk_throughs() -> None:
    assert [command.split()[1] for command, _ in walks()] == ["study", "study", "senders", "turnaround"]


@pytest.mark.parametrize("number", range(4))
def test_walk_through_prints_what_the_page_shows(config: Path, number: int) -> None:
    command, printed = list(walks())[number]
    program, *arguments = shlex.split(command)
    seeds = iter((5, REJECTED)[number:])
    arguments = [study(next(seeds)) if row.startswith("2.25.") else row for row in arguments]

    output = plain(run(config, *arguments))

    assert program == "cxr-node"
    missing = [line for line in printed if line != "..." and line not in output]
    assert missing == [], output


def test_sender_with_most_films_not_analysed_comes_first(config: Path) -> None:
    rows = json.loads(run(config, "senders", "--json"))

    assert [(row["group"], row["films"], row["not_analysed"]) for row in rows] == [
        ("DX2", 3 * DAYS, 2 * DAYS),
        ("DX1", 3 * DAYS + 1, 0),
    ]
    assert rows[0]["reasons"] == {"VIEW": 2 * DAYS}
    assert rows[0]["share"] == pytest.approx(2 / 3)


def test_turnaround_is_grouped_by_day_or_sender_with_a_total(config: Path) -> None:
    by_day = json.loads(run(config, "turnaround", "--json"))
    by_sender = json.loads(run(config, "turnaround", "--by", "sender", "--json"))

    assert [row["group"] for row in by_sender] == ["DX1", "DX2", "all"]
    assert by_day[-1] == by_sender[-1]
    assert (by_day[-1]["films"], by_day[-1]["reported"], by_day[-1]["p50_s"]) == (6 * DAYS + 1, 6 * DAYS, 2.0)
    assert sum(row["films"] for row in by_day[:-1]) == by_day[-1]["films"]


def test_groups_by_equipment_have_times_reasons_and_scores(config: Path) -> None:
    stations = json.loads(run(config, "senders", "--by", "station", "--json"))
    modalities = json.loads(run(config, "turnaround", "--by", "modality", "--json"))
    models = json.loads(run(config, "scores", "--by", "model", "--json"))

    assert [(row["group"], row["not_analysed"]) for row in stations] == [("ROOM 2", 2 * DAYS), ("unknown", 0)]
    assert [(row["group"], row["films"], row["p95_s"]) for row in modalities] == [
        ("CR", 3 * DAYS, 2.0), ("DX", 3 * DAYS + 1, 2.0), ("all", 6 * DAYS + 1, 2.0)
    ]  # fmt: skip
    assert [(row["key"], row["group"], row["films"], row["present"], row["p95"]) for row in models] == [
        ("lung_opacity", "Made", 4 * DAYS + 1, 4 * DAYS + 1, 0.75)
    ]
    assert "75.0" in run(config, "scores")


def test_period_without_films_is_reported(config: Path) -> None:
    for command in ("senders", "turnaround"):
        assert run(config, command, "--until", "2000-01-01", "--since", "1999-01-01").strip() == (
            "no film was received in this time"
        )
