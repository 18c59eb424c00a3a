"""Status, study, report, deliveries and purge commands, on both databases."""

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
from cxr_node.domain.clock import utc_now
from cxr_node.domain.explanations import Group, explanations
from cxr_node.domain.reasons import Reason
from cxr_node.queries import overview
from cxr_node.queries.quantiles import quantile
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.queue import NOON
from tests.support.running_node import opened, settings_file

pytestmark = pytest.mark.ci_on_postgresql


def refuse() -> None:
    raise DeliveryRejected("no room")


class CommandLine:
    """Settings of a node, an in-process node with its database and folder, and its commands."""

    def __init__(self, config: Path, node: InProcessNode) -> None:
        self.config = config
        self.node = node

    def run(self, *command: str, exit_code: int = 0) -> str:
        """Run a command and return its output."""
        ended = CliRunner().invoke(app, [*command, "--config", str(self.config)], env={"COLUMNS": "220"})
        assert ended.exit_code == exit_code, ended.output
        return ended.output


@pytest.fixture
def cli(tmp_path: Path, database_url: str) -> Iterator[CommandLine]:
    config = settings_file(tmp_path / "node", database_url=database_url)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        yield CommandLine(config, InProcessNode(database, settings.node.data_folder))


def test_program_prints_its_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output.strip() == f"cxr-node {version('cxr-node')}"


def test_status_of_a_new_node_shows_zeros(cli: CommandLine) -> None:
    output = json.loads(cli.run("status", "--json"))

    assert [queue["stage"] for queue in output["queues"]] == ["read", "compose", "deliver", "commit"]
    assert output["films_recent"] == 0
    assert output["turnaround"] == {"films": 0, "p50_s": None, "p90_s": None, "p95_s": None, "p99_s": None}
    assert "no report delivered in 24 h" in cli.run("status")


def test_overview_counts_open_jobs_deliveries_and_senders(cli: CommandLine) -> None:
    node = cli.node
    node.accept(films.dx())
    node.work()
    node.pacs.before_send = refuse
    node.accept(films.dx(seed=1))
    node.work()
    node.accept(films.dx(seed=2, changes={"ViewPosition": "LL"}))
    node.turn(Stage.READ)
    node.accept(films.dx(seed=3))

    with node.database.read() as connection:
        current = overview.overview(connection, now=node.clock.now)
        tomorrow = overview.overview(connection, now=node.clock.now + timedelta(days=2))

    queues = {queue.stage: queue for queue in current.queues}
    assert (queues[Stage.READ].ready, queues[Stage.COMPOSE].scheduled, queues[Stage.DELIVER].failed) == (1, 1, 1)
    (destination,) = current.destinations
    assert (destination.destination, destination.waiting, destination.failed) == ("pacs", 0, 1)
    assert destination.last_delivered_at == NOON + timedelta(seconds=2)
    (sender,) = current.senders
    assert (sender.calling_ae_title, sender.films, sender.not_analysed) == ("DX1", 4, 1)
    assert current.reasons == {"VIEW": 1}
    assert (current.films_recent, current.turnaround.films, current.turnaround.p50_s) == (4, 1, 2.0)
    assert (tomorrow.films_recent, tomorrow.senders, tomorrow.reasons) == (0, (), {})
    assert "failed" in cli.run("status", exit_code=1)


def test_watched_status_is_refreshed_until_interrupted(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    ended = CliRunner().invoke(app, ["status", "--watch", "--every", "0.5", "--config", str(cli.config)])

    assert pauses == [0.5, 0.5, 0.5]
    assert ended.exit_code == 130


def test_a_code_is_explained_and_every_code_listed() -> None:
    def explain(*arguments: str) -> tuple[int, str]:
        ended = CliRunner().invoke(app, ["explain", *arguments])
        return ended.exit_code, ended.output

    exit_code, output = explain("0xA700")
    assert exit_code == 0
    assert explanations()[Group.C_STORE]["out_of_resources"].remedy[:60] in output
    (row,) = json.loads(explain("bodypart", "--json")[1])
    assert row["title"] == Reason.BODY_PART.meaning
    listed = explain()[1]
    assert all(name in listed for entries in explanations().values() for name in entries)
    assert explain("0xFFFF") == (1, "'0xFFFF' is no code of this node; `cxr-node explain` lists them\n")


def test_study_explains_why_it_has_no_report(cli: CommandLine) -> None:
    node = cli.node
    film = films.dx(changes={"ViewPosition": "LL"})
    study = str(film.StudyInstanceUID)
    node.accept(film)
    assert "reading is waiting" in cli.run("study", study)
    node.turn(Stage.READ)
    output = cli.run("study", study)
    assert "is not analysed: Not a frontal view, or view unknown" in output
    explanation = explanations()[Group.NOT_ANALYSED]["VIEW"]
    assert output.count(explanation.remedy) == 1
    assert explanation.fact in cli.run("jobs", "show", "1")
    assert json.loads(cli.run("study", study, "--json"))["explanations"] == [explanation.as_row()]
    assert "composing is waiting" in output
    assert "no report has been composed yet" in output

    node.pacs.before_send = refuse
    node.work()
    output = cli.run("study", study)
    job = re.search(r"delivery to pacs failed: no room; fix the cause, then `cxr-node retry (\d+)`", output)
    assert job is not None

    node.pacs.before_send = lambda: None
    assert "queued again" in cli.run("retry", job[1])
    node.clock.now = utc_now()
    node.work()
    assert "the newest result (TID1500) was delivered to pacs" in cli.run("study", str(film.SOPInstanceUID))
    assert json.loads(cli.run("study", study, "--json"))["films"][0]["reason"] == "VIEW"


def test_unknown_study_was_not_sent_or_was_rejected(cli: CommandLine) -> None:
    assert "was not sent, or was rejected" in cli.run("study", "1.2.3", exit_code=1)
    assert "'x' is unknown as Study Instance UID" in cli.run("study", "x", exit_code=1)


def test_report_is_shown_as_a_tree_without_patient(cli: CommandLine) -> None:
    film = films.dx()
    cli.node.accept(film)
    cli.node.work()

    output = cli.run("report", "show", str(film.StudyInstanceUID))

    assert output.splitlines()[0].startswith("Imaging Measurement Report")
    assert re.search(r"├── |└── ", output)
    assert str(film.PatientName) not in output
    lines = json.loads(cli.run("report", "show", str(film.StudyInstanceUID), "--json", "--brief"))
    assert {"depth": 0, "text": lines[0]["text"]} == lines[0]
    assert len(lines) < len(output.splitlines())
    assert "there is no report of 1.2.3" in cli.run("report", "show", "1.2.3", exit_code=1)


def test_dead_letters_are_listed_and_requeued_together(cli: CommandLine) -> None:
    node = cli.node
    node.pacs.before_send = refuse
    for seed in range(3):
        node.accept(films.dx(seed=seed))
    node.work()
    dead = json.loads(cli.run("deliveries", "--state", "failed", "--json"))
    assert [letter["detail"] for letter in dead] == ["no room"] * 3
    assert cli.run("deliveries", "--destination", "elsewhere") == "no deliveries\n"
    assert "no room" in cli.run("deliveries")

    assert "3 jobs: --yes" in cli.run("requeue", "--destination", "pacs")
    assert len(node.pacs.received) == 0
    assert "3 jobs queued again" in cli.run("requeue", "--destination", "pacs", "--yes")
    node.pacs.before_send = lambda: None
    node.clock.now = utc_now()
    node.work()

    assert len(node.pacs.received) == 3
    assert "no job matches" in cli.run("requeue", "--yes", exit_code=1)
    assert "has not ended" in cli.run("requeue", "--state", "running", exit_code=2)


def test_purge_removes_only_delivered_studies(cli: CommandLine) -> None:
    node = cli.node
    node.accept(films.dx())
    node.work()
    node.pacs.before_send = refuse
    node.accept(films.dx(seed=1))
    node.work()
    assert len(list(node.archive.stored_keys())) == 4

    assert "1 studies match" in cli.run("purge", "--older-than", "1")
    assert len(list(node.archive.stored_keys())) == 4
    assert "1 studies removed" in cli.run("purge", "--older-than", "1", "--yes")

    assert len(list(node.archive.stored_keys())) == 2
    assert json.loads(cli.run("purge", "--older-than", "0", "--json")) == {"studies": 0, "removed": False}


def test_command_without_a_database_names_what_creates_it(tmp_path: Path) -> None:
    config = settings_file(tmp_path)

    ended = CliRunner().invoke(app, ["status", "--config", str(config)])

    assert ended.exit_code == 1
    assert "there is no database at" in ended.output
    assert not list(tmp_path.rglob("node.db"))


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([1.0], 0.99, 1.0), ([1.0, 2.0], 0.5, 1.0), ([1.0, 2.0, 3.0], 0.5, 2.0), ([1.0, 2.0], 0.99, 2.0)],
)
def test_quantile_is_one_of_the_values(values: list[float], share: float, expected: float | None) -> None:
    assert quantile(values, share) == expected
