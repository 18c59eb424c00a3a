"""Resend of delivered results to a destination, on both databases."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.priority import BACKGROUND_BOOST_S
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import delivery, result
from cxr_node.domain.clock import utc_now
from cxr_node.ops import batches
from cxr_node.queries import overview, view_rows
from cxr_node.queries.views.registry import VIEWS
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.running_node import opened, settings_file

pytestmark = pytest.mark.ci_on_postgresql


class Resending:
    """A node whose PACS has the results of two studies, the first of which has a superseded report."""

    def __init__(self, config: Path, node: InProcessNode) -> None:
        self.config = config
        self.node = node

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run `cxr-node resend` and return its output."""
        command = ["resend", *arguments, "--config", str(self.config)]
        ended = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
        assert ended.exit_code == exit_code, ended.output
        return ended.output

    def sent(self) -> list[str]:
        """Return the SOP Instance UIDs that the PACS received, in order."""
        return [str(report.SOPInstanceUID) for report in self.node.pacs.reports()]

    def turnarounds(self) -> list[object]:
        """Return the seconds from film to report of each film."""
        with self.node.database.read() as connection:
            rows = view_rows.rows(connection, VIEWS["v1_turnaround"], order="film_id")
        return [row["total_s"] for row in rows]


@pytest.fixture
def resending(tmp_path: Path, database_url: str) -> Iterator[Resending]:
    config = settings_file(tmp_path / "node", database_url=database_url)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        node.clock.now = utc_now() - timedelta(hours=3)
        first = films.dx(seed=1, changes={"AccessionNumber": "A123"})
        node.accept(first)
        node.work()
        same_study = {"AccessionNumber": "A123", "StudyInstanceUID": first.StudyInstanceUID}
        node.accept(films.dx(seed=2, changes=same_study))
        node.work()
        node.accept(films.dx(seed=3, changes={"AccessionNumber": "B456"}))
        node.work()
        yield Resending(config, node)


def test_delivered_results_are_sent_again_as_the_same_instances(resending: Resending) -> None:
    before, turnarounds = resending.sent(), resending.turnarounds()
    superseded, *present = before

    counted = resending.run("pacs", "--since", "24h", "--dry-run")
    sent = resending.run("pacs", "--since", "24h")
    again = json.loads(resending.run("pacs", "--since", "24h", "--json", exit_code=1).splitlines()[0])
    resending.node.clock.now = utc_now()
    resending.node.work()

    assert len(before) == 3
    assert counted.startswith("2 results of 2 studies to pacs would be sent again\n")
    assert "not sent: 1 superseded by a later result of the study" in counted
    assert sent.startswith("2 results of 2 studies to pacs queued to be sent again\n")
    assert (again["queued"], again["results"]) == (0, 0)
    assert resending.sent() == [*before, *present]
    assert superseded not in present
    assert resending.turnarounds() == turnarounds


def test_results_of_one_study_wait_behind_new_ones(resending: Resending) -> None:
    node = resending.node
    _, newest_of_study, _ = resending.sent()
    resending.run("pacs", "--study", "A123")
    (waiting,) = [job for job in node.jobs(Stage.DELIVER) if job.state is State.WAITING]
    with node.database.read() as connection:
        queues = overview.queues(connection, now=utc_now() + timedelta(hours=1))
    node.clock.now = utc_now()
    node.accept(films.dx(seed=4))
    node.work()

    assert waiting.priority == BACKGROUND_BOOST_S
    assert [queue.ready for queue in queues if queue.stage is Stage.DELIVER] == [1]
    assert [queue.oldest_ready_at for queue in queues if queue.stage is Stage.DELIVER] == [None]
    assert resending.sent().count(newest_of_study) == 2
    assert len(resending.sent()) == 5


def test_results_that_a_host_with_a_fast_clock_delivered_are_sent_again(resending: Resending) -> None:
    resending.node.clock.now = utc_now() + timedelta(hours=1)
    resending.node.accept(films.dx(seed=4))
    resending.node.work()
    before = resending.sent()

    resending.run("pacs", "--since", "24h")
    resending.node.work()

    assert before[-1] in resending.sent()[len(before) :]


def test_many_results_are_queued_in_small_transactions(resending: Resending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "ROWS", 1)

    resending.run("pacs", "--since", "24h")

    states = [job.state for job in resending.node.jobs(Stage.DELIVER)]
    assert states.count(State.WAITING) == 2


def test_what_cannot_be_sent_again_is_named(resending: Resending) -> None:
    with resending.node.database.write() as transaction:
        connection = transaction.connection
        (last,) = connection.execute(select(result.c.id).order_by(result.c.id.desc()).limit(1)).scalars()
        connection.execute(update(result).where(result.c.id == last).values(removed_at=utc_now()))
        old = update(delivery).where(delivery.c.result_id < last).values(delivered_at=utc_now() - timedelta(days=2))
        connection.execute(old)

    assert "not sent: 1 removed from the archive" in resending.run("pacs", "--since", "24h", exit_code=1)
    assert "there is no destination 'other'" in resending.run("other", "--since", "24h", exit_code=1)
    assert "name a study" in resending.run("pacs", exit_code=2)
    assert "is unknown as" in resending.run("pacs", "--study", "C789", exit_code=1)
