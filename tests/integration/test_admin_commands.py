"""What an admin asks at the command line, on both databases: how it stands, why, and another try."""

import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.states import Stage
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.queries import overview
from cxr_node.queries.overview import quantile
from cxr_node.wiring.process import utc_now
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.queue import NOON
from tests.support.running_node import opened, settings_file


def refuse() -> None:
    raise DeliveryRejected("no room")


class Node:
    """The settings of a node, and a shop that works in its database and folder."""

    def __init__(self, config: Path, shop: InProcessNode) -> None:
        self.config = config
        self.shop = shop

    def says(self, *command: str, exit_code: int = 0) -> str:
        """Run a command and return what it says."""
        ended = CliRunner().invoke(app, [*command, "--config", str(self.config)], env={"COLUMNS": "220"})
        assert ended.exit_code == exit_code, ended.output
        return ended.output


@pytest.fixture
def node(tmp_path: Path, database_url: str) -> Iterator[Node]:
    config = settings_file(tmp_path / "node", database_url=database_url)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        yield Node(config, InProcessNode(database, settings.node.data_folder))


def test_the_program_says_its_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output.strip() == f"cxr-node {version('cxr-node')}"


def test_status_of_a_node_that_has_done_nothing_is_a_screen_of_zeros(node: Node) -> None:
    said = json.loads(node.says("status", "--json"))

    assert [queue["stage"] for queue in said["queues"]] == ["read", "compose", "deliver", "commit"]
    assert said["films_recent"] == 0
    assert said["turnaround"] == {"films": 0, "p50_s": None, "p99_s": None}
    assert "no report delivered in 24 h" in node.says("status")


def test_the_overview_counts_what_waits_what_failed_and_what_came(node: Node) -> None:
    shop = node.shop
    shop.accept(films.dx())
    shop.work()
    shop.pacs.before = refuse
    shop.accept(films.dx(seed=1))
    shop.work()
    shop.accept(films.dx(seed=2, changes={"ViewPosition": "LL"}))
    shop.turn(Stage.READ)
    shop.accept(films.dx(seed=3))

    with shop.database.read() as connection:
        found = overview.overview(connection, now=shop.clock.now)
        tomorrow = overview.overview(connection, now=shop.clock.now + timedelta(days=2))

    queues = {queue.stage: queue for queue in found.queues}
    assert (queues[Stage.READ].due, queues[Stage.COMPOSE].scheduled, queues[Stage.DELIVER].failed) == (1, 1, 1)
    (destination,) = found.destinations
    assert (destination.destination, destination.waiting, destination.failed) == ("pacs", 0, 1)
    assert destination.last_delivered_at == NOON + timedelta(seconds=2)
    (sender,) = found.senders
    assert (sender.calling_ae_title, sender.films, sender.not_analysed) == ("DX1", 4, 1)
    assert found.reasons == {"VIEW": 1}
    assert (found.films_recent, found.turnaround.films, found.turnaround.p50_s) == (4, 1, 2.0)
    assert (tomorrow.films_recent, tomorrow.senders, tomorrow.reasons) == (0, (), {})
    assert "failed" in node.says("status", exit_code=1)


def test_a_screen_is_drawn_anew_while_it_is_watched(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    ended = CliRunner().invoke(app, ["status", "--watch", "--every", "0.5", "--config", str(node.config)])

    assert looks == [0.5, 0.5, 0.5]
    assert ended.exit_code == 130


def test_a_study_says_why_it_has_no_report(node: Node) -> None:
    shop = node.shop
    film = films.dx(changes={"ViewPosition": "LL"})
    study = str(film.StudyInstanceUID)
    shop.accept(film)
    assert "reading is waiting" in node.says("study", study)
    shop.turn(Stage.READ)
    said = node.says("study", study)
    assert "is not analysed: Not a frontal view, or view unknown" in said
    assert "composing is waiting" in said
    assert "no report has been composed yet" in said

    shop.pacs.before = refuse
    shop.work()
    said = node.says("study", study)
    job = re.search(r"delivery to pacs failed: no room; fix the cause, then `cxr-node retry (\d+)`", said)
    assert job is not None

    shop.pacs.before = lambda: None
    assert "queued again" in node.says("retry", job[1])
    shop.clock.now = utc_now()
    shop.work()
    assert "the newest result (TID1500) was delivered to pacs" in node.says("study", str(film.SOPInstanceUID))
    assert json.loads(node.says("study", study, "--json"))["films"][0]["reason"] == "VIEW"


def test_a_study_that_never_came_is_said_to_be_the_senders(node: Node) -> None:
    assert "was not sent, or was rejected" in node.says("study", "1.2.3", exit_code=1)
    assert "is not a UID" in node.says("study", "x", exit_code=1)


def test_a_report_is_shown_as_a_tree_and_names_nobody(node: Node) -> None:
    film = films.dx()
    node.shop.accept(film)
    node.shop.work()

    said = node.says("report", "show", str(film.StudyInstanceUID))

    assert said.splitlines()[0].startswith("Imaging Measurement Report")
    assert re.search(r"├── |└── ", said)
    assert str(film.PatientName) not in said
    lines = json.loads(node.says("report", "show", str(film.StudyInstanceUID), "--json", "--brief"))
    assert {"depth": 0, "text": lines[0]["text"]} == lines[0]
    assert len(lines) < len(said.splitlines())
    assert "there is no report of 1.2.3" in node.says("report", "show", "1.2.3", exit_code=1)


def test_dead_letters_are_listed_and_all_queued_again_at_once(node: Node) -> None:
    shop = node.shop
    shop.pacs.before = refuse
    for seed in range(3):
        shop.accept(films.dx(seed=seed))
    shop.work()
    dead = json.loads(node.says("deliveries", "--state", "failed", "--json"))
    assert [each["detail"] for each in dead] == ["no room"] * 3
    assert node.says("deliveries", "--destination", "elsewhere") == "no deliveries\n"
    assert "no room" in node.says("deliveries")

    assert "3 jobs: --yes" in node.says("requeue", "--destination", "pacs")
    assert len(shop.pacs.arrived) == 0
    assert "3 jobs queued again" in node.says("requeue", "--destination", "pacs", "--yes")
    shop.pacs.before = lambda: None
    shop.clock.now = utc_now()
    shop.work()

    assert len(shop.pacs.arrived) == 3
    assert "no job matches" in node.says("requeue", "--yes", exit_code=1)
    assert "has not ended" in node.says("requeue", "--state", "running", exit_code=2)


def test_purge_removes_what_is_delivered_and_nothing_else(node: Node) -> None:
    shop = node.shop
    shop.accept(films.dx())
    shop.work()
    shop.pacs.before = refuse
    shop.accept(films.dx(seed=1))
    shop.work()
    assert len(list(shop.archive.stored_keys())) == 4

    assert "1 studies match" in node.says("purge", "--older-than", "1")
    assert len(list(shop.archive.stored_keys())) == 4
    assert "1 studies removed" in node.says("purge", "--older-than", "1", "--yes")

    assert len(list(shop.archive.stored_keys())) == 2
    assert json.loads(node.says("purge", "--older-than", "0", "--json")) == {"studies": 0, "removed": False}


def test_without_a_database_a_command_says_what_makes_one(tmp_path: Path) -> None:
    config = settings_file(tmp_path)

    ended = CliRunner().invoke(app, ["status", "--config", str(config)])

    assert ended.exit_code == 1
    assert "there is no database at" in ended.output
    assert not list(tmp_path.rglob("node.db"))


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([1.0], 0.99, 1.0), ([1.0, 2.0], 0.5, 1.0), ([1.0, 2.0, 3.0], 0.5, 2.0), ([1.0, 2.0], 0.99, 2.0)],
)
def test_a_quantile_is_a_value_that_was_there(values: list[float], share: float, expected: float | None) -> None:
    assert quantile(values, share) == expected
